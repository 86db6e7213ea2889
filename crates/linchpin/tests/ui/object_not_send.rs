//! Objects are shared by threads, so an object that is not `Send` is refused.

use std::rc::Rc;

use linchpin::{Heap, Opaque};

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc(Opaque(Rc::new(1_u64)));
    });
}
