//! The right to work on the heap ends with the mutation: the mutator cannot be kept for later.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let mut kept = None;
    heap.mutate(|mu| kept = Some(mu));
    kept.unwrap().alloc(1_u64);
}
