//! A bound on `T::Item` where several traits of `T` may have it: the derive says what to write.

use linchpin::Trace;

#[derive(Trace)]
struct Pair<T>
where
    T: Iterator + AsRef<u8>,
    T::Item: Trace,
{
    first: T::Item,
    rest: T,
}

fn main() {}
