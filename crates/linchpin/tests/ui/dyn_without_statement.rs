//! A trait of which nobody has said that it stands for objects.

use linchpin::{GcDyn, Heap, unsize};

trait Name {}

impl Name for String {}

fn main() {
    Heap::new().mutate(|mu| {
        let text = mu.alloc(String::new());
        let _: GcDyn<'_, dyn Name> = unsize!(text => dyn Name);
    });
}
