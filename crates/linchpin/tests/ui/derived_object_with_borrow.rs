//! Nor may a derived type carry a borrow next to its pointers.

use linchpin::{Gc, Heap, Trace};

#[derive(Trace)]
struct Borrower<'gc, 'text> {
    held: Gc<'gc, u64>,
    text: &'text str,
}

fn main() {
    let heap = Heap::new();
    let text = String::from("on the stack");
    heap.mutate(|mu| {
        mu.alloc(Borrower { held: mu.alloc(1_u64), text: &text });
    });
}
