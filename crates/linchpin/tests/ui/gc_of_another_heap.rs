//! A pointer of one heap cannot be stored in an object of another.

use linchpin::{GcCell, Heap, Trace};

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, u64>,
}

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            let slot = mu_here.alloc(Slot { held: GcCell::null() });
            slot.held.store(mu_here, mu_there.alloc(1_u64));
        });
    });
}
