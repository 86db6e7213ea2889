//! A field whose type is not known to be traceable is refused, not skipped.

use linchpin::{Gc, Trace};

struct Untraced<'gc> {
    held: Gc<'gc, u64>,
}

#[derive(Trace)]
struct Holder<'gc> {
    untraced: Untraced<'gc>,
}

fn main() {}
