//! A pointer cannot hide in an `Arc`, which could carry it out of the heap.

use std::sync::Arc;

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    held: Arc<Gc<'gc, u64>>,
}

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc(Holder { held: Arc::new(mu.alloc(1_u64)) });
    });
}
