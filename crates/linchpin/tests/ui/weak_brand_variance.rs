//! A weak pointer is not one of a shorter brand, which a mutation of another heap could have.

use linchpin::Weak;

fn shorten<'long: 'short, 'short>(weak: Weak<'long, u64>) -> Weak<'short, u64> {
    weak
}

fn main() {
    let _ = shorten as fn(_) -> _;
}
