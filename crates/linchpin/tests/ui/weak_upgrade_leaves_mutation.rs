//! What a weak root gives cannot be returned from the mutation, though the weak root itself is free to go anywhere.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let weak = heap.mutate(|mu| mu.weak_root(mu.alloc(1_u64)));
    let escaped = heap.mutate(|mu| weak.upgrade(mu));
    assert_eq!(*escaped.unwrap(), 1);
}
