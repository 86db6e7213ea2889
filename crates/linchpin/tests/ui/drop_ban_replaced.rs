//! The ban on `Drop` cannot be replaced by a crate that calls itself `linchpin`: the real tracer asks for the real one.

extern crate linchpin as real;
extern crate self as linchpin;

pub use real::{Gc, Inspector, Trace, Tracer};

pub trait MustNotImplementDrop {
    type Dropper;
}

/// Nor by a method that could be taken for the tracer's.
pub trait Check: Sized {
    fn check_drop<T>(self) {}
}

impl Check for &mut Tracer<'_> {}

#[derive(Trace)]
struct Guard<'gc> {
    held: Gc<'gc, u64>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        println!("{}", *self.held);
    }
}

#[derive(Trace)]
struct Wrapper<T: Trace> {
    content: T,
}

impl<T: Trace> Drop for Wrapper<T> {
    fn drop(&mut self) {}
}

/// Without a `Drop` there is nobody to say so but the trait of this crate.
#[derive(Trace)]
struct Plain<'gc> {
    held: Gc<'gc, u64>,
}

fn main() {}
