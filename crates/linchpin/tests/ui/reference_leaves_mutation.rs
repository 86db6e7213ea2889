//! A reference into an object cannot be returned from its mutation.

use linchpin::{Gc, Heap};

fn main() {
    let heap = Heap::new();
    let escaped: &u64 = heap.mutate(|mu| Gc::as_ref(mu.alloc(1_u64)));
    assert_eq!(*escaped, 1);
}
