//! Nor can a field that is skipped be made a pointer by an attribute that the derive does not see the work of.

use linchpin::{Gc, Heap, Trace};
use linchpin_test_attributes::becomes;

#[derive(Trace)]
#[becomes(struct Pointer<'gc> { #[trace(skip)] held: Gc<'gc, u64> })]
struct Pointer<'gc> {
    #[trace(skip)]
    held: u64,
}

/// Where the attribute takes away the bound, the type is as good as before: for what is `'static`.
#[derive(Trace)]
#[becomes(struct Unbound<T> { #[trace(skip)] held: T })]
struct Unbound<T: 'static> {
    #[trace(skip)]
    held: T,
}

/// A lifetime that comes later has no brand to be replaced by.
#[derive(Trace)]
#[becomes(struct Later<'gc> { #[trace(skip)] number: u64, held: Gc<'gc, u64> })]
struct Later {
    #[trace(skip)]
    number: u64,
    held: u64,
}

/// A field that comes later is not forgotten.
#[derive(Trace)]
#[becomes(struct Another<'gc> { #[trace(skip)] number: u64, held: Gc<'gc, u64> })]
struct Another<'gc> {
    #[trace(skip)]
    number: u64,
}

fn main() {
    Heap::new().mutate(|mu| {
        mu.alloc(Unbound { held: mu.alloc(1_u64) });
    });
}
