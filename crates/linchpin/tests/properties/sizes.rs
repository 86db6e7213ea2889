//! Allocations of every size: each has its bytes to itself.

use linchpin::{Allocate, Gc, Heap, Mutator, Root, Trace};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;

const MOST: usize = 70 << 10;

/// Fails if two of these (address, size) have a byte in common.
#[track_caller]
fn assert_disjoint(extents: &mut [(usize, usize)]) {
    extents.sort_unstable();
    for pair in extents.windows(2) {
        let ((first, bytes), (second, _)) = (pair[0], pair[1]);
        assert!(first + bytes <= second, "{bytes} bytes at {first:#x} overlap with those at {second:#x}");
    }
}

/// Every size there is, not only those that chance picks: contents tell whether a slot is too small.
#[test]
fn every_size_has_room_for_itself() {
    let heap = Heap::builder().processors(1).region_size(1 << 30).build().expect("a heap of one gigabyte");
    let patterns: Vec<Vec<u8>> = (0..=250_u8).map(|value| vec![value; MOST]).collect();
    let pattern = |size: usize| &patterns[size % patterns.len()][..size];
    // So many at a time that all of them fit, however large.
    for first in (0..=MOST).step_by(1024) {
        let sizes = first..(first + 1024).min(MOST + 1);
        let roots: Vec<Root<[u8]>> = heap.mutate(|mu| {
            let slice = |size| mu.root(mu.try_alloc_slice_copy(pattern(size)).expect("a gigabyte is enough"));
            sizes.clone().map(slice).collect()
        });
        heap.mutate(|mu| {
            let mut extents = Vec::new();
            for (size, root) in sizes.zip(&roots) {
                let slice = root.get(mu);
                assert!(slice.as_ref() == pattern(size), "{size} bytes were overwritten");
                extents.push((Gc::as_ptr(slice).cast::<u8>().addr(), size.max(1)));
            }
            assert_disjoint(&mut extents);
        });
        drop(roots);
        heap.collect();
        assert_eq!(heap.stats().live_objects, 0);
    }
}

#[derive(Trace, Clone, Copy)]
#[repr(align(64))]
struct Line([u8; 64]);

#[derive(Trace, Clone, Copy)]
#[repr(align(4096))]
struct Page([u8; 4096]);

/// An object in the heap, and what is needed to look at it again.
struct Placed {
    address: usize,
    bytes: usize,
    check: Box<dyn Fn(&Mutator<'_>)>,
}

fn place<T>(mu: &Mutator<'_>, of: T, bytes: usize, same: impl Fn(&T) -> bool + 'static) -> Placed
where
    T: for<'gc> Allocate<'gc> + for<'gc> Trace<Branded<'gc> = T> + Copy + 'static,
{
    let slice = mu.try_alloc_slice_copy(&vec![of; bytes / size_of::<T>()]).expect("a gigabyte is enough");
    let address = Gc::as_ptr(slice).cast::<u8>().addr();
    assert!(address.is_multiple_of(align_of::<T>()));
    let root: Root<[T]> = mu.root(slice);
    let length = slice.len();
    let check = Box::new(move |mu: &Mutator<'_>| {
        let slice = root.get(mu);
        assert!(slice.len() == length && slice.iter().all(&same), "{bytes} bytes were overwritten");
    });
    Placed { address, bytes: length * size_of::<T>(), check }
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..=300_usize, 2 => 0..=5000_usize, 1 => 30_000..=34_000_usize, 1 => 0..=MOST]
}

proptest! {
    #![proptest_config(cases(24))]

    /// Sizes and alignments in any order, some freed again before others come: who is there is never overlapped.
    #[test]
    fn mixed_sizes_do_not_overlap(
        rounds in vec(vec((size(), 0..4_u8, any::<u8>(), any::<bool>()), 1..60), 1..4)
    ) {
        let heap = Heap::builder().processors(2).region_size(1 << 30).build().expect("a heap of one gigabyte");
        let mut placed: Vec<Placed> = Vec::new();
        for round in rounds {
            for (bytes, element, value, _) in round.iter().copied() {
                placed.push(heap.mutate(|mu| match element {
                    0 => place(mu, value, bytes, move |&byte| byte == value),
                    1 => place(mu, u64::from(value), bytes, move |&word| word == u64::from(value)),
                    2 => place(mu, Line([value; 64]), bytes, move |line| line.0 == [value; 64]),
                    _ => place(mu, Page([value; 4096]), bytes, move |page| page.0 == [value; 4096]),
                }));
            }
            let mut extents: Vec<_> =
                placed.iter().filter(|one| one.bytes != 0).map(|one| (one.address, one.bytes)).collect();
            assert_disjoint(&mut extents);
            // Of each round, some go.
            let mut keep = round.iter().rev().map(|&(.., keep)| keep).chain(std::iter::repeat(true));
            placed.reverse();
            placed.retain(|_| keep.next().unwrap_or(true));
            heap.collect();
            heap.mutate(|mu| placed.iter().for_each(|one| (one.check)(mu)));
            prop_assert_eq!(heap.stats().live_objects, placed.len() as u64);
        }
    }
}
