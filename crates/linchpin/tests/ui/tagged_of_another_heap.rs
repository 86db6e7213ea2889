//! A value of one heap in a field of another.

use linchpin::{Gc, Heap, Tagged, TaggedCell, Trace};

#[derive(Trace, Tagged, Clone, Copy)]
enum Value<'gc> {
    Nil,
    Text(Gc<'gc, str>),
}

fn main() {
    let (heap, other) = (Heap::new(), Heap::new());
    heap.mutate(|mu| {
        let text = Value::Text(mu.alloc_str("text"));
        other.mutate(|mu| {
            let cell = mu.alloc(TaggedCell::new(Value::Nil));
            cell.store(mu, text);
        });
    });
}
