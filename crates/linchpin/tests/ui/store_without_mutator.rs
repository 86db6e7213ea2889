//! A pointer field cannot be stored to without the mutator, which knows the barrier.

use linchpin::{GcCell, Heap, Trace};

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, u64>,
}

fn main() {
    Heap::new().mutate(|mu| {
        let slot = mu.alloc(Slot { held: GcCell::null() });
        slot.held.store(mu.alloc(1_u64));
    });
}
