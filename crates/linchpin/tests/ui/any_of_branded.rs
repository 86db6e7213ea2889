//! A branded type has no `TypeId`, so nobody can downcast to it under another brand (oscars #100).

use std::any::Any;

use linchpin::Heap;

fn main() {
    Heap::new().mutate(|mu| {
        let pointer: Box<dyn Any> = Box::new(mu.alloc(1_u64));
        assert!(pointer.is::<u64>());
    });
}
