//! A weak cell is not one of a shorter brand, through which a weak pointer of another heap could be stored into it.

use linchpin::WeakCell;

fn shorten<'a, 'long: 'short, 'short>(cell: &'a WeakCell<'long, u64>) -> &'a WeakCell<'short, u64> {
    cell
}

fn main() {
    shorten(&WeakCell::null());
}
