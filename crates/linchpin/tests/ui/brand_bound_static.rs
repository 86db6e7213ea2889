//! The heap's lifetime is never `'static`, which is what a type says that asks it to be.

use linchpin::{Gc, Trace};

#[derive(Trace)]
struct Direct<'gc: 'static> {
    held: Gc<'gc, u64>,
}

#[derive(Trace)]
struct ByAnother<'gc, 'code>
where
    'gc: 'code,
    'code: 'gc + 'static,
{
    held: Gc<'gc, u64>,
    code: Gc<'code, u64>,
}

fn main() {}
