//! A pointer of one heap cannot be part of a new object of another.

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    held: Gc<'gc, u64>,
}

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            mu_here.alloc(Holder { held: mu_there.alloc(1_u64) });
        });
    });
}
