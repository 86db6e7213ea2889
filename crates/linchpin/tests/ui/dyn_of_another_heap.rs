//! A trait object of one heap in an object of another.

use linchpin::{Gc, GcDyn, Heap, Trace, trait_object, unsize};

trait Name {}
trait_object!(dyn Name);

#[derive(Trace)]
struct Named<'gc>(Gc<'gc, String>);

impl Name for Named<'_> {}

#[derive(Trace)]
struct Holder<'gc>(GcDyn<'gc, dyn Name + 'gc>);

fn main() {
    let (heap, other) = (Heap::new(), Heap::new());
    heap.mutate(|mu| {
        let name = unsize!(mu.alloc(Named(mu.alloc(String::new()))) => dyn Name);
        other.mutate(|mu| {
            mu.alloc(Holder(name));
        });
    });
}
