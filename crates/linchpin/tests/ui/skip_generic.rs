//! What a parameter stands for may hold pointers, unless it is bound to be `'static`: then it cannot.

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Wrapper<T> {
    #[trace(skip)]
    content: T,
}

#[derive(Trace)]
struct WrapsStatic<T: 'static> {
    #[trace(skip)]
    content: T,
}

fn main() {
    Heap::new().mutate(|mu| {
        let held: Gc<'_, u64> = mu.alloc(1_u64);
        mu.alloc(WrapsStatic { content: held });
    });
}
