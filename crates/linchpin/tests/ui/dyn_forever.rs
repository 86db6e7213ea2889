//! What holds pointers of the heap is no trait object for ever.

use linchpin::{Gc, GcDyn, Heap, Trace, trait_object, unsize};

trait Name {}
trait_object!(dyn Name);

#[derive(Trace)]
struct Named<'gc>(Gc<'gc, String>);

impl Name for Named<'_> {}

fn main() {
    Heap::new().mutate(|mu| {
        let named = mu.alloc(Named(mu.alloc(String::new())));
        let _: GcDyn<'_, dyn Name + 'static> = unsize!(named => dyn Name + 'static);
    });
}
