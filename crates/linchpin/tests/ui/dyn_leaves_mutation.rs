//! A pointer to a trait object is branded by its mutation.

use linchpin::{Heap, trait_object, unsize};

trait Name {}
trait_object!(dyn Name);

impl Name for String {}

fn main() {
    let heap = Heap::new();
    let _ = heap.mutate(|mu| unsize!(mu.alloc(String::new()) => dyn Name));
}
