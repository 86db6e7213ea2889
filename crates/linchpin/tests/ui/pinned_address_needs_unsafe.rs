//! The address of a pinned object may be kept, under the brand `'static`; to look at what is there takes `unsafe`.

use linchpin::{Gc, Heap, Pinner, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    held: Gc<'gc, u64>,
}

fn main() {
    let mut pinner = Pinner::new();
    let address = Heap::new().mutate(|mu| pinner.pin(mu, mu.alloc(Holder { held: mu.alloc(1_u64) })));
    let escaped: Gc<'static, u64> = address.as_ref().held;
    assert_eq!(*escaped, 1);
}
