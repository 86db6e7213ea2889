//! Slices that are traced in parts, and what is not.

use std::ptr::NonNull;

use super::{GROUP_BYTES, PART_BYTES, SPLIT_ABOVE, Tracer};
use crate::collector::queue::Grey;
use crate::memory::SPAN_BYTES;
use crate::processor::phase::colour_of_cycle;
use crate::sync::Ordering;
use crate::{Gc, Heap, Mutator, Trace};

const WORD: usize = size_of::<usize>();

/// What one slice leads to, beginning and end.
struct Case<'gc> {
    start: NonNull<u8>,
    leads_to: [Gc<'gc, u64>; 2],
}

fn slice<'gc>(mu: &Mutator<'gc>, elements: usize) -> Case<'gc> {
    let leads_to = [mu.alloc(1), mu.alloc(2)];
    let slice = mu.alloc_slice_with(elements, |index| match index {
        0 => Some(leads_to[0]),
        index if index == elements - 1 => Some(leads_to[1]),
        _ => None,
    });
    Case { start: slice.start(), leads_to }
}

/// Traces an object, part by part; in how many after the first. The parts of a unit wait from its first one on, and so do the units of a group.
fn trace(heap: &Heap, case: &Case<'_>) -> usize {
    let region = &heap.core().memory.region;
    let black = colour_of_cycle(1);
    let mut tracer = Tracer::new(region, black);
    tracer.scan(Grey(case.start));
    let mut parts = 0;
    while let Some(grey) = tracer.pop() {
        tracer.scan(grey);
        parts += 1;
        assert!(tracer.stack.len() < 66, "{} entries wait at a time", tracer.stack.len());
    }
    for object in case.leads_to {
        let mark = region.mark(object.start().addr().get());
        assert_eq!(mark.load(Ordering::Relaxed), black);
        // As before, so that the heap may end.
        mark.store(colour_of_cycle(0), Ordering::Relaxed);
    }
    parts
}

/// A length word and the elements take up so many bytes.
fn elements_of(bytes: usize) -> usize {
    bytes / WORD - 1
}

#[test]
fn a_slice_of_three_units_and_more_is_split_and_none_smaller() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        for (bytes, parts) in [
            (SPAN_BYTES / 2, 0),
            (SPAN_BYTES + WORD, 0),
            (SPLIT_ABOVE, 0),
            // All parts of all units of the span, be there elements or not.
            (SPLIT_ABOVE + WORD, 95),
            (5 * SPAN_BYTES, 159),
            (GROUP_BYTES, 1023),
            (GROUP_BYTES + WORD, 1055),
            (3 * GROUP_BYTES - SPAN_BYTES, 3039),
        ] {
            assert_eq!(trace(&heap, &slice(mu, elements_of(bytes))), parts, "{bytes} bytes");
        }
    });
    assert_eq!(SPLIT_ABOVE, 2 * SPAN_BYTES);
}

/// Slices that share a span are each traced by themselves.
#[test]
fn small_slices_are_told_apart() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        let slices: Vec<Case<'_>> = (0..10).map(|_| slice(mu, 4)).collect();
        assert!(slices.iter().all(|slice| trace(&heap, slice) == 0));
    });
}

/// The header is traced with the first part, whatever it has itself; an element belongs to the part it begins in.
#[test]
fn a_slice_with_a_header_is_split_too() {
    type Element<'gc> = [Option<Gc<'gc, u64>>; 3];
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        for elements in
            [3 * SPAN_BYTES / size_of::<Element<'_>>(), 3 * SPAN_BYTES / size_of::<Element<'_>>() + 1, 20_000]
        {
            let leads_to @ [head, tail] = [mu.alloc(1), mu.alloc(2)];
            let every: Vec<_> = (0..elements as u64).map(|number| mu.alloc(number)).collect();
            let object = mu.alloc_header_slice((head, [0_u64; 9]), elements, |index| {
                [None, Some(every[index]), (index == elements - 1).then_some(tail)]
            });
            let parts = trace(&heap, &Case { start: object.start(), leads_to });
            assert_eq!(parts, (size_of_val(&*object) + WORD).div_ceil(SPAN_BYTES) * (SPAN_BYTES / PART_BYTES) - 1);
            for object in every {
                let mark = heap.core().memory.region.mark(object.start().addr().get());
                assert_eq!(mark.swap(colour_of_cycle(0), Ordering::Relaxed), colour_of_cycle(1), "{}", *object);
            }
        }
    });
}

#[derive(Trace)]
struct Large<'gc> {
    first: Gc<'gc, u64>,
    between: [u64; 2 * SPLIT_ABOVE / WORD],
    last: Gc<'gc, u64>,
}

/// A value that is as large as a slice that is split has no parts.
#[test]
fn a_large_value_is_traced_as_a_whole() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        let leads_to @ [first, last] = [mu.alloc(1), mu.alloc(2)];
        let large = mu.alloc(Large { first, between: [0; 2 * SPLIT_ABOVE / WORD], last });
        assert_eq!(trace(&heap, &Case { start: large.start(), leads_to }), 0);
        assert_eq!(large.between.len(), 2 * SPLIT_ABOVE / WORD);
    });
}
