//! A type cannot ask for its brand to be `'static`, with which its pointers would be taken for what never ends.

use linchpin::{Gc, Trace};

#[derive(Trace)]
struct Holder<'gc>
where
    'gc: 'static,
{
    held: &'static Gc<'gc, u64>,
}

fn main() {}
