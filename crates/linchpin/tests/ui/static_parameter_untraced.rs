//! A parameter that is `'static` need not implement `Trace`, but then its fields must be skipped.

use linchpin::Trace;

#[derive(Trace)]
struct Wrapper<T: 'static> {
    number: u64,
    content: Vec<T>,
}

fn main() {}
