//! An object cannot be changed through a plain assignment, pointers in it least of all.

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    held: Gc<'gc, u64>,
}

fn main() {
    Heap::new().mutate(|mu| {
        let holder = mu.alloc(Holder { held: mu.alloc(1_u64) });
        holder.held = mu.alloc(2_u64);
    });
}
