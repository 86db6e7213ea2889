//! A reference for ever to a pointer of one mutation is no object (gc-arena #63: the implementation for `&'static T` must
//! say `T: 'static`, or the compiler lets it through where nobody writes the type down).

use linchpin::{Gc, Trace};

fn is_traced<T: Trace>() {}

fn under_any_brand<'gc>(_: Gc<'gc, u64>) {
    is_traced::<&'static Gc<'gc, u64>>();
}

fn main() {}
