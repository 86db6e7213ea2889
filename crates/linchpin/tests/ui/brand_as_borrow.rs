//! The brand is no lifetime to borrow for: an object outlives the mutation it was made in.

use linchpin::Trace;

#[derive(Trace)]
struct Borrower<'gc> {
    text: &'gc str,
}

fn main() {}
