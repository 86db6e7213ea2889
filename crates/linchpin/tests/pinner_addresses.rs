//! Which addresses a pin stands for: the object's own, interior ones, its neighbours' (not), and
//! foreign ones; objects of one byte and of none.

#![cfg(not(loom))]

mod common;

use std::ptr::NonNull;

use common::{Triple, churn};
use linchpin::{Gc, Heap, Mutator, Object, Opaque, Pinner, Trace};

#[derive(Trace)]
struct Nothing;

static FOREIGN: Triple = Triple::of(5);

#[test]
fn foreign_data_counts_as_pinned_and_is_not_counted() {
    let heap = Heap::new();
    let on_the_stack = 17_u32;
    let boxed = Box::new(Triple::of(6));
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        let address = pinner.pin_ref(mu, &FOREIGN);
        assert_eq!(address.as_ptr().cast_const(), &raw const FOREIGN);
        pinner.pin_ref(mu, &on_the_stack);
        pinner.pin_ref(mu, &*boxed);
    });
    assert!(heap.is_pinned(&raw const FOREIGN));
    assert!(heap.is_pinned(&raw const on_the_stack));
    assert!(heap.is_pinned(&raw const *boxed));
    assert!(heap.is_pinned(std::ptr::null::<u8>()));
    assert_eq!(heap.pin_count(&raw const FOREIGN), 0);
    assert_eq!(heap.pin_count(&raw const on_the_stack), 0);
    assert!(pinner.is_empty(), "nothing of the heap's was pinned");
    pinner.unpin();
    assert!(heap.is_pinned(&raw const FOREIGN));
}

#[test]
fn one_heaps_object_is_foreign_to_another_heap() {
    let here = Heap::new();
    let there = Heap::new();
    here.mutate(|mu| {
        let object = mu.alloc(Triple::of(7));
        assert!(there.is_pinned(Gc::as_ptr(object)));
        assert_eq!(there.pin_count(Gc::as_ptr(object)), 0);
        assert!(!here.is_pinned(Gc::as_ptr(object)));
    });
}

#[test]
fn one_byte_objects_are_pinned_one_by_one() {
    const OBJECTS: usize = 64;
    let heap = Heap::new();
    heap.mutate(|mu| {
        let objects: [Gc<'_, bool>; OBJECTS] = std::array::from_fn(|number| mu.alloc(number % 2 == 0));
        let mut pinner = Pinner::new();
        for (number, &object) in objects.iter().enumerate() {
            assert!(!mu.is_pinned(object), "object {number} has a neighbour's pin");
            pinner.pin(mu, object);
            pinner.pin(mu, object);
            assert!(mu.is_pinned(object));
            assert_eq!(mu.pin_count(object), 2, "object {number}");
        }
        assert_eq!(pinner.len(), 2 * OBJECTS);
        pinner.unpin();
        for (number, &object) in objects.iter().enumerate() {
            assert!(!mu.is_pinned(object), "object {number} is still pinned");
            assert_eq!(mu.pin_count(object), 0);
            assert_eq!(*object, number % 2 == 0);
        }
    });
}

#[test]
fn a_zero_sized_object_can_be_pinned() {
    let heap = Heap::new();
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        let object = mu.alloc(Nothing);
        pinner.pin(mu, object);
        assert!(mu.is_pinned(object));
        assert!(heap.is_pinned(Gc::as_ptr(object)));
    });
    heap.collect();
    pinner.unpin();
    assert!(pinner.is_empty());
    heap.collect();
}

#[test]
fn an_interior_address_counts_as_its_object() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(9));
        let other = mu.alloc(Triple::of(10));
        let mut pinner = Pinner::new();
        pinner.pin_ref(mu, &Gc::as_ref(object).z);
        assert_eq!(mu.pin_count(object), 1);
        assert_eq!(heap.pin_count(&raw const Gc::as_ref(object).x), 1);
        assert_eq!(heap.pin_count(&raw const Gc::as_ref(object).y), 1);
        assert_eq!(heap.pin_count((&raw const Gc::as_ref(object).z).cast::<u8>().wrapping_add(7)), 1);
        assert!(!mu.is_pinned(other));
        drop(pinner);
        assert_eq!(mu.pin_count(object), 0);
    });
}

#[test]
fn an_interior_address_of_a_slice_counts_as_the_slice() {
    // One element, a small slice, one that fills several granules, and two of their own span.
    for len in [1_usize, 7, 1000, 50_000, 1_000_000] {
        let heap = Heap::new();
        let mut pinner = Pinner::new();
        let (first, last) = heap.mutate(|mu| {
            let slice = mu.alloc_slice_with(len, |index| index as u32);
            let elements = Gc::as_ref(slice);
            let last = pinner.pin_ref(mu, &elements[len - 1]);
            assert_eq!(mu.pin_count(slice), 1, "length {len}");
            for index in [0, len / 3, len / 2, len - 1] {
                assert!(heap.is_pinned(&raw const elements[index]));
                assert_eq!(heap.pin_count(&raw const elements[index]), 1, "length {len}, element {index}");
            }
            (NonNull::from(&elements[0]), last)
        });
        heap.collect();
        churn(&heap, 3000);
        heap.collect();
        // SAFETY: the pin of the last element keeps the whole slice alive, and nothing writes to it.
        let (first_value, last_value) = unsafe { (*first.as_ptr(), *last.as_ptr()) };
        assert_eq!((first_value, last_value), (0, len as u32 - 1));
        pinner.unpin();
        assert_eq!(heap.pin_count(first.as_ptr().cast_const()), 0);
        assert!(!heap.is_pinned(last.as_ptr().cast_const()));
    }
}

/// An element that takes no room, but is aligned.
macro_rules! aligned {
    ($($name:ident $align:literal)*) => {$(
        #[derive(Clone, Copy)]
        #[repr(align($align))]
        struct $name;
    )*};
}

aligned!(Aligned16 16 Aligned32 32 Aligned64 64 Aligned4096 4096 Aligned64K 65536);

/// The elements of a slice begin behind its length, aligned; where they take no room that was the end of the object, and
/// with it the address of the next one.
#[test]
fn the_address_of_elements_that_take_no_room_is_their_slices() {
    fn check<'gc, T: Object + 'gc>(heap: &Heap, mu: &Mutator<'gc>, slice: Gc<'gc, [T]>, neighbours: &[Gc<'gc, [u8]>])
    where
        [T]: Object,
    {
        let mut pinner = Pinner::new();
        let address = pinner.pin(mu, slice).as_ptr().cast::<u8>().cast_const();
        assert!(address.addr().is_multiple_of(align_of::<T>()));
        assert_eq!(mu.pin_count(slice), 1);
        assert!(heap.contains(address));
        assert!(heap.is_pinned(address), "{address:p} is another object's");
        assert_eq!(heap.pin_count(address), 1);
        assert!(neighbours.iter().all(|&neighbour| !mu.is_pinned(neighbour)));
        drop(pinner);
        for &neighbour in neighbours {
            let mut pinner = Pinner::new();
            pinner.pin(mu, neighbour);
            assert!(!heap.is_pinned(address), "{address:p} is a neighbour's");
        }
    }
    let heap = Heap::new();
    heap.mutate(|mu| {
        let small = || mu.alloc_slice_copy(b"in a granule or two"[..8].as_ref());
        let before = small();
        let empty = mu.alloc_slice_copy::<u128>(&[]);
        let neighbours = [before, small(), small()];
        check(&heap, mu, empty, &neighbours);
        check(&heap, mu, mu.alloc_slice_copy::<u64>(&[]), &neighbours);
        check(&heap, mu, mu.alloc_slice_copy(&[(); 5]), &neighbours);
        for length in [0, 3] {
            check(&heap, mu, mu.alloc_slice_with(length, |_| Opaque(Aligned16)), &neighbours);
            check(&heap, mu, mu.alloc_slice_with(length, |_| Opaque(Aligned32)), &neighbours);
            check(&heap, mu, mu.alloc_slice_with(length, |_| Opaque(Aligned64)), &neighbours);
            check(&heap, mu, mu.alloc_slice_with(length, |_| Opaque(Aligned4096)), &neighbours);
        }
        let aligned = mu.alloc_slice_with(3, |_| Opaque(Aligned64K));
        // The spans behind it: large objects are placed one after another.
        let large = [mu.alloc_slice_copy(&[1_u8; 100_000]), mu.alloc_slice_copy(&[2_u8; 100_000])];
        check(&heap, mu, aligned, &large);
    });
}

#[test]
fn a_slice_is_pinned_as_a_whole() {
    let heap = Heap::new();
    let mut pinner = Pinner::new();
    let text = heap.mutate(|mu| {
        let bytes = mu.alloc_slice_copy(b"held by C while cycles run");
        let address = pinner.pin(mu, bytes);
        assert_eq!(address.len(), bytes.len());
        address
    });
    for _ in 0..3 {
        churn(&heap, 2000);
        heap.collect();
    }
    // SAFETY: the slice is pinned and nothing writes to it.
    assert_eq!(unsafe { text.as_ref() }, b"held by C while cycles run");
}
