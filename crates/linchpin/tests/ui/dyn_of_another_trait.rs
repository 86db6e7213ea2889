//! Only a trait that the type implements.

use linchpin::{Heap, trait_object, unsize};

trait Name {}
trait_object!(dyn Name);

fn main() {
    Heap::new().mutate(|mu| {
        unsize!(mu.alloc(7_u64) => dyn Name);
    });
}
