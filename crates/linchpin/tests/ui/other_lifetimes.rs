//! A lifetime beside the heap's must be bound to be `'static`, or to be the same; one bound in one direction is neither.

use linchpin::{Gc, Trace};

#[derive(Trace)]
struct Longer<'gc, 'code: 'gc> {
    held: Gc<'gc, u64>,
    code: &'code [u8],
}

#[derive(Trace)]
struct Shorter<'gc: 'code, 'code> {
    held: Gc<'gc, u64>,
    code: &'code [u8],
}

#[derive(Trace)]
struct Alone<'code> {
    code: &'code [u8],
}

/// By another name it is the heap's all the same, and nothing to borrow for.
#[derive(Trace)]
struct Same<'gc, 'code>
where
    'code: 'gc,
    'gc: 'code,
{
    held: Gc<'gc, u64>,
    code: &'code [u8],
}

fn main() {}
