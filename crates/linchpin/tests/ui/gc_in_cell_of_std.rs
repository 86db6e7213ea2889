//! A pointer cannot hide in a standard lock or cell, which has no barrier.

use std::sync::Mutex;

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    held: Mutex<Gc<'gc, u64>>,
}

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc(Holder { held: Mutex::new(mu.alloc(1_u64)) });
    });
}
