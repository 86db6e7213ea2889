//! Nobody knows which field of a union holds the pointer, so a union cannot be derived for.

use linchpin::{Gc, Trace};

#[derive(Trace)]
union Either<'gc> {
    held: Gc<'gc, u64>,
    number: usize,
}

fn main() {}
