//! A field with a pointer in it cannot be skipped, however deep it sits.

use linchpin::{Gc, Trace};

#[derive(Trace)]
struct Holder<'gc> {
    #[trace(skip)]
    held: Option<Vec<(u8, Gc<'gc, u64>)>>,
}

#[derive(Trace)]
enum Either<'gc, 'heap>
where
    'heap: 'gc,
    'gc: 'heap,
{
    Nothing,
    Held(Gc<'gc, u64>, #[trace(skip)] Gc<'heap, u64>),
}

fn main() {}
