//! `Opaque` data is not traced, so a pointer cannot hide in it.

use linchpin::{Gc, Heap, Opaque, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    held: Opaque<Gc<'gc, u64>>,
}

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc(Opaque(mu.alloc(1_u64)));
    });
}
