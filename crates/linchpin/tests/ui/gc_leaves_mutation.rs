//! A pointer cannot be returned from the mutation it was made in.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let escaped = heap.mutate(|mu| mu.alloc(1_u64));
    assert_eq!(*escaped, 1);
}
