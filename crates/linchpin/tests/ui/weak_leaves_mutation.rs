//! A weak pointer cannot be returned from the mutation it was made in.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let escaped = heap.mutate(|mu| mu.downgrade(mu.alloc(1_u64)));
    drop(format!("{escaped:?}"));
}
