//! Slices are objects too: their elements must be `Send` and `Sync`.

use std::cell::Cell;

use linchpin::{Heap, Opaque};

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc_slice_with(3, |_| Opaque(Cell::new(1_u64)));
    });
}
