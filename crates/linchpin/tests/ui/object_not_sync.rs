//! Objects are shared by threads, so an object that is not `Sync` is refused.

use std::cell::Cell;

use linchpin::{Heap, Opaque};

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc(Opaque(Cell::new(1_u64)));
    });
}
