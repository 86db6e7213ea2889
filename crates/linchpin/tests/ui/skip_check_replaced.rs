//! The check of what is skipped cannot be replaced by a crate that calls itself `linchpin`: it is the real tracer's.

extern crate linchpin as real;
extern crate self as linchpin;

pub use real::{Gc, Inspector, MustNotImplementDrop, Trace, Tracer};

/// With a method that could be taken for the tracer's.
pub trait Check: Sized {
    fn check_static<T>(self, _: T) {}
}

impl Check for &mut Tracer<'_> {}

#[derive(Trace)]
struct Wrapper<T: Trace> {
    #[trace(skip)]
    content: T,
}

fn main() {}
