//! A weak cell of a function for every lifetime is not a cell of one for `'static`: that could be stored into it.

use linchpin::{Opaque, WeakCell};

fn narrow<'a, 'gc>(
    cell: &'a WeakCell<'gc, Opaque<for<'b> fn(&'b str)>>,
) -> &'a WeakCell<'gc, Opaque<fn(&'static str)>> {
    cell
}

fn main() {
    narrow(&WeakCell::null());
}
