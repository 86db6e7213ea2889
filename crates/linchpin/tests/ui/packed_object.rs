//! The fields of a packed type cannot be borrowed, so its pointers cannot be traced: refused, not skipped.

use linchpin::{Gc, Trace};

#[derive(Trace)]
#[repr(C, packed)]
struct Packed<'gc> {
    tag: u8,
    held: Gc<'gc, u64>,
}

fn main() {}
