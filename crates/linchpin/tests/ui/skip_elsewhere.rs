//! `#[trace(skip)]` is for fields, and there is nothing else to say.

use linchpin::Trace;

#[derive(Trace)]
#[trace(skip)]
struct Whole {
    number: u64,
}

#[derive(Trace)]
enum Variants {
    #[trace(skip)]
    First(u64),
}

#[derive(Trace)]
struct Unknown {
    #[trace(ignore)]
    number: u64,
}

#[derive(Trace)]
struct Bare {
    #[trace]
    number: u64,
}

#[derive(Trace)]
struct More {
    #[trace(skip, always)]
    number: u64,
}

#[derive(Trace)]
struct Twice {
    #[trace(skip)]
    #[trace(skip)]
    number: u64,
}

fn main() {}
