//! An object may outlive any stack frame, so it may not borrow from one.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let text = String::from("on the stack");
    heap.mutate(|mu| {
        mu.alloc(text.as_str());
    });
}
