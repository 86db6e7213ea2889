//! A nested mutation of the same heap has a brand of its own: its pointers end with it, and
//! cannot be stored into the outer mutation's objects.

use linchpin::{GcCell, Heap, Trace};

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, u64>,
}

fn main() {
    let heap = Heap::new();
    heap.mutate(|outer| {
        let slot = outer.alloc(Slot { held: GcCell::null() });
        heap.mutate(|inner| slot.held.store(outer, inner.alloc(1_u64)));
    });
}
