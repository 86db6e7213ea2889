//! What a sweep reckons up of the values it drops.

use crate::sync::Ordering;
use crate::{Heap, Root};

/// What dead values owned is taken off what the heap's objects own; what lives is left in.
#[test]
fn what_the_dead_have_owned_is_counted() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let vector = |bytes: usize| Vec::<u8>::with_capacity(bytes);
    let kept: Root<Vec<u8>> = heap.mutate(|mu| {
        mu.alloc(vector(10_000));
        mu.alloc(vector(300_000));
        mu.root(mu.alloc(vector(7_000)))
    });
    let disowned = || heap.core().memory.swept.disowned_bytes.load(Ordering::Relaxed);
    heap.collect();
    assert_eq!(disowned(), 310_000);
    drop(kept);
    heap.collect();
    assert_eq!(disowned(), 317_000);
}
