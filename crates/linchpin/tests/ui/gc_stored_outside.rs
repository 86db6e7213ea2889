//! A pointer cannot be put into a variable outside its mutation.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let mut escaped = None;
    heap.mutate(|mu| escaped = Some(mu.alloc(1_u64)));
    assert!(escaped.is_some());
}
