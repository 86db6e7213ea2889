//! What is not traced because its contents are `'static` takes no pointer.

use std::sync::{OnceLock, RwLock, Weak};

use linchpin::{Gc, Trace};

fn is_traced<T: Trace>() {}

fn under_any_brand<'gc>(_: Gc<'gc, u64>) {
    is_traced::<OnceLock<Gc<'gc, u64>>>();
}

fn in_a_lock<'gc>(_: Gc<'gc, u64>) {
    is_traced::<RwLock<Gc<'gc, u64>>>();
}

fn in_a_weak<'gc>(_: Gc<'gc, u64>) {
    is_traced::<Weak<Gc<'gc, u64>>>();
}

fn main() {}
