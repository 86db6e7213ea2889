//! A pointer field cannot be replaced as a whole past its barrier.

use linchpin::{GcCell, Heap, Trace};

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, u64>,
}

fn main() {
    Heap::new().mutate(|mu| {
        let slot = mu.alloc(Slot { held: GcCell::null() });
        slot.held = GcCell::new(mu.alloc(1_u64));
    });
}
