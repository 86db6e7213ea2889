//! What a mutation returns does not borrow from the heap, even if the heap itself lives for ever (gc-arena #28, #65).

use linchpin::{Gc, Heap};

fn main() {
    let heap: &'static Heap = Box::leak(Box::new(Heap::new()));
    let lent: &'static u64 = heap.mutate(|mu| Gc::as_ref(mu.alloc(1_u64)));
    heap.collect();
    assert_eq!(*lent, 1);
}
