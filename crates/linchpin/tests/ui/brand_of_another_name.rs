//! The brand of a derived type is the lifetime named `'gc`; another name is an error that says so.

use linchpin::{Gc, Trace};

#[derive(Trace)]
struct Holder<'brand> {
    held: Gc<'brand, u64>,
}

fn main() {}
