//! Nor may a generic type that may hold pointers through its parameter.

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Wrapper<T: Trace> {
    content: T,
}

impl<T: Trace> Drop for Wrapper<T> {
    fn drop(&mut self) {}
}

fn main() {
    Heap::new().mutate(|mu| {
        let held: Gc<'_, u64> = mu.alloc(1_u64);
        mu.alloc(Wrapper { content: held });
    });
}
