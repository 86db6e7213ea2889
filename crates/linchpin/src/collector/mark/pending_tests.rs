//! Whatever is pending comes once, unit by unit.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::pending::{MOST_KEPT, Pending};
use super::window::Window;
use crate::collector::queue::Grey;
use crate::memory::{GRANULE, SPAN_BYTES};
use crate::{Gc, Heap};

/// The object at a granule of a unit; nobody looks into it.
fn at(heap: &Heap, unit: usize, granule: usize) -> Grey {
    let region = &heap.core().memory.region;
    Grey(region.pointer(region.unit_start(unit).addr().get() + granule * GRANULE))
}

fn place(heap: &Heap, Grey(object): Grey) -> (usize, usize) {
    let offset = object.addr().get() - heap.core().memory.region.unit_start(0).addr().get();
    (offset / SPAN_BYTES, offset % SPAN_BYTES / GRANULE)
}

/// The unit of a window, and the granules of its objects.
fn places(heap: &Heap, window: Window) -> Vec<(usize, usize)> {
    window.objects(&heap.core().memory.region).map(|grey| place(heap, grey)).collect()
}

#[test]
fn units_come_in_turn_and_objects_by_address() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let region = &heap.core().memory.region;
    let mut pending = Pending::default();
    // The last one on the stack is the first that was come to.
    let mut stack = [(7, 3), (2, 64), (7, 4095), (2, 0), (2, 63), (9, 1), (7, 70)]
        .map(|(unit, granule)| at(&heap, unit, granule))
        .to_vec();
    let mut next = || {
        let window = pending.next(region, &mut stack);
        (window.map(|window| places(&heap, window)), pending.is_done())
    };
    let expected = [&[(7, 3)][..], &[(7, 70)], &[(7, 4095)], &[(9, 1)], &[(2, 0), (2, 63)], &[(2, 64)]];
    for (index, expected_places) in expected.into_iter().enumerate() {
        let is_last = index == expected.len() - 1;
        assert_eq!(next(), (Some(expected_places.to_vec()), is_last));
    }
    assert_eq!((next(), next()), ((None, true), (None, true)));
}

/// What is come to in the unit whose turn it is comes before other units, wherever it lies.
#[test]
fn a_unit_has_its_turn_until_nothing_of_it_is_left() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let region = &heap.core().memory.region;
    let mut pending = Pending::default();
    let mut stack = vec![at(&heap, 1, 5), at(&heap, 0, 2000), at(&heap, 0, 2001)];
    let mut next = |more: Option<(usize, usize)>| {
        stack.extend(more.map(|(unit, granule)| at(&heap, unit, granule)));
        pending.next(region, &mut stack).map(|window| places(&heap, window))
    };
    assert_eq!(next(None), Some(vec![(0, 2000), (0, 2001)]));
    assert_eq!(next(Some((0, 4000))), Some(vec![(0, 4000)]));
    assert_eq!(next(Some((0, 10))), Some(vec![(0, 10)]));
    assert_eq!(next(Some((0, 2000))), Some(vec![(0, 2000)]), "again, as it was added again");
    assert_eq!(next(None), Some(vec![(1, 5)]));
    assert_eq!(next(Some((3, 3))), Some(vec![(3, 3)]));
    assert_eq!(next(None), None);
}

/// Units of large objects come before all others, and are given away a few at a time, the last first.
#[test]
fn large_objects_come_first() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let region = &heap.core().memory.region;
    heap.mutate(|mu| {
        let large = mu.alloc_slice_with(3 * SPAN_BYTES, |_| 0_u8);
        let first = region.unit_of(Gc::as_ptr(large).addr());
        let other = first + 10;
        // The last one on the stack is the first that was come to.
        let mut stack: Vec<_> = [(first + 1, 0), (first + 2, 0), (first, 0), (other, 7), (other + 1, 7)]
            .map(|(unit, granule)| at(&heap, unit, granule))
            .to_vec();
        let mut pending = Pending::default();
        let mut next = |pending: &mut Pending| pending.next(region, &mut stack).map(|window| places(&heap, window));
        assert_eq!(next(&mut pending), Some(vec![(first, 0)]), "as it was come to before its parts");
        let given = |pending: &mut Pending| {
            pending.give_half(region, Vec::new()).into_iter().map(|grey| place(&heap, grey)).collect::<Vec<_>>()
        };
        assert_eq!(given(&mut pending), [(first + 1, 0)]);
        assert!(!pending.is_done());
        assert_eq!(next(&mut pending), Some(vec![(first + 2, 0)]));
        assert_eq!(given(&mut pending), [(other + 1, 7)], "as always, where none waits");
        assert_eq!(next(&mut pending), Some(vec![(other, 7)]));
        assert_eq!(next(&mut pending), None);
        assert!(pending.is_done());
        // Neither is lost where all is given away.
        let mut stack = vec![at(&heap, other, 7), at(&heap, first + 1, 0), at(&heap, other, 9), at(&heap, first, 0)];
        pending.add_all(region, &mut stack);
        pending.give_all(region, &mut stack);
        let mut given: Vec<_> = stack.iter().map(|&grey| place(&heap, grey)).collect();
        given.sort_unstable();
        assert_eq!(given, [(first, 0), (first + 1, 0), (other, 7), (other, 9)]);
        assert!(pending.is_done());
        pending.add_all(region, &mut vec![at(&heap, first, 0)]);
        assert!(!pending.is_done(), "there are large ones alone");
    });
    // A quarter of them, eight at most.
    for (units, few) in [(4, 1), (8, 2), (31, 7), (80, 8)] {
        heap.mutate(|mu| {
            let large = mu.alloc_slice_with(units * SPAN_BYTES - size_of::<usize>(), |_| 0_u8);
            let first = region.unit_of(Gc::as_ptr(large).addr());
            let mut pending = Pending::default();
            pending.add_all(region, &mut (first..first + units).rev().map(|unit| at(&heap, unit, 0)).collect());
            let given = pending.give_half(region, Vec::new()).into_iter().map(|grey| place(&heap, grey).0 - first);
            assert!(given.eq((units - few..units).rev()), "{units}");
        });
    }
}

/// The room that many units have taken is not kept for the next cycle.
#[test]
fn little_room_is_kept_and_much_is_not() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let region = &heap.core().memory.region;
    let grown = |mut pending: Pending, units: usize| {
        pending.add_all(region, &mut (0..units).map(|unit| at(&heap, unit, 0)).collect());
        pending.give_all(region, &mut Vec::new());
        let room = pending.room();
        (room, pending.kept().room())
    };
    let (few, kept) = grown(Pending::default(), 3000);
    assert!((3000 * 512..4 << 20).contains(&few), "half a kilobyte each, and not twice that: {few}");
    assert_eq!(kept, few);
    let mut all = Pending::default();
    all.make_room(MOST_KEPT);
    assert_ne!(all.kept().room(), 0, "of as many as may be");
    let mut some = Pending::default();
    some.make_room(MOST_KEPT / 8 * 5);
    let (all, kept) = grown(some, MOST_KEPT);
    assert_eq!(kept, all, "it grows to that, and not beyond");
    let (many, kept) = grown(Pending::default(), 10_000);
    assert!(many > 10_000 * 512);
    assert_eq!(kept, 0);
}

#[test]
fn half_of_the_units_that_wait_are_given_away_or_a_batch() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let region = &heap.core().memory.region;
    let given = |units: std::ops::Range<usize>, each: usize| {
        let mut pending = Pending::default();
        let all = units.rev().flat_map(|unit| (0..each).map(move |granule| (unit, granule)));
        let mut stack: Vec<Grey> = all.map(|(unit, granule)| at(&heap, unit, granule)).collect();
        assert!(pending.next(region, &mut stack).is_some(), "of the first unit, whose turn it is");
        let mut given: Vec<_> =
            pending.give_half(region, Vec::new()).into_iter().map(|grey| place(&heap, grey).0).collect();
        given.dedup();
        given
    };
    assert_eq!(given(0..1, 127), [0; 0], "one window that is gone through, and one more");
    assert_eq!(given(0..1, 129), [0]);
    assert_eq!(given(0..2, 9), [1]);
    assert_eq!(given(0..5, 9), [1, 2]);
    assert_eq!(given(0..6, 9), [1, 2, 3]);
    assert_eq!(given(0..6, 1000), [1], "enough for a batch");
    // The last windows of the unit whose turn it is, if no other one waits.
    let region = &heap.core().memory.region;
    let mut pending = Pending::default();
    let mut stack: Vec<Grey> = (0..64 * 5).map(|granule| at(&heap, 3, granule)).collect();
    assert!(pending.next(region, &mut stack).is_some());
    let mut given: Vec<_> = pending.give_half(region, Vec::new()).into_iter().map(|grey| place(&heap, grey)).collect();
    given.sort_unstable();
    assert_eq!(given, (64 * 3..64 * 5).map(|granule| (3, granule)).collect::<Vec<_>>());
}

proptest! {
    /// What was added comes after that, and no more often than it was added. (That of a window which is gone through already comes
    /// again.)
    #[test]
    fn whatever_is_pending_comes(steps in vec((0..12_u8, 0..6_usize, 0..4096_usize), 1..300)) {
        let heap = Heap::builder().processors(1).build().unwrap();
        let region = &heap.core().memory.region;
        let mut pending = Pending::default();
        let mut stack = Vec::new();
        let (mut owed, mut left) = (BTreeSet::new(), BTreeMap::new());
        let finish = std::iter::repeat_n((6, 0, 0), 300);
        for (kind, unit, granule) in steps.into_iter().chain(finish) {
            // Few granules, so that some are added again.
            let granule = granule / 100 * 7;
            let gone: Vec<Grey> = match kind {
                0..6 => {
                    stack.push(at(&heap, unit, granule));
                    owed.insert((unit, granule));
                    *left.entry((unit, granule)).or_insert(0) += 1;
                    continue;
                }
                6..10 => {
                    let next = pending.next(region, &mut stack);
                    prop_assert!(next.is_some() || owed.is_empty());
                    next.into_iter().flat_map(|window| window.objects(region)).collect()
                }
                10 => pending.give_half(region, Vec::new()),
                _ => {
                    let before = stack.len();
                    pending.give_all(region, &mut stack);
                    prop_assert!(stack.len() >= before);
                    let places: BTreeSet<_> = stack.iter().map(|&grey| place(&heap, grey)).collect();
                    prop_assert!(owed.is_subset(&places));
                    prop_assert!(pending.next(region, &mut Vec::new()).is_none());
                    continue;
                }
            };
            for grey in gone {
                let place = place(&heap, grey);
                let left = left.get_mut(&place).filter(|left| **left > 0);
                prop_assert!(left.is_some(), "{place:?} is not pending");
                left.into_iter().for_each(|left| *left -= 1);
                if !stack.iter().any(|&other| self::place(&heap, other) == place) {
                    owed.remove(&place);
                }
            }
        }
        prop_assert!(owed.is_empty());
    }
}

/// Who has room for all units asks for no more, however many wait; and room that is there is made use of.
#[test]
fn room_that_was_made_is_enough() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let region = &heap.core().memory.region;
    let units = |range: std::ops::Range<usize>| range.map(|unit| at(&heap, unit, unit % 7)).collect::<Vec<_>>();
    let mut pending = Pending::default();
    pending.add_all(region, &mut units(3..5));
    pending.make_room(300);
    let room = pending.room();
    assert!((300 * 512..301 * 600).contains(&room), "and no more than asked for: {room}");
    pending.make_room(200);
    pending.add_all(region, &mut units(5..300));
    pending.add_all(region, &mut units(0..3));
    assert_eq!(pending.room(), room);
    let mut given = Vec::new();
    pending.give_all(region, &mut given);
    let mut places: Vec<_> = given.into_iter().map(|grey| place(&heap, grey)).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq((0..300).map(|unit| (unit, unit % 7))), "each unit has bits of its own");
    assert_eq!(pending.kept().room(), room);
}
