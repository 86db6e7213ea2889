//! Lists of spans and their records.

use super::*;
use crate::Object;
use crate::memory::quarters::{quarters_of, unit_of_span};
use crate::memory::{QUARTER_BYTES, SPAN_BYTES};

#[test]
fn a_record_of_another_cycle_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let region = &verified.core().memory.region;
    let span = region.span(region.span_at(address));
    let cycle = span.swept_cycle();
    span.set_swept_cycle(cycle + 2);
    verified.assert_verify_finds(FindingKind::SpanRecord);
    span.set_swept_cycle(cycle);
    verified.assert_in_order();
}

#[test]
fn a_span_in_two_places_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.span_at(address);
    let class = listing_class(memory, unit);
    class.give_back(unit, true);
    assert_eq!(
        verified.assert_verify_finds(FindingKind::SpanList).address(),
        memory.region.span_start(unit).addr().get()
    );
    assert!(take_listed(memory, class), "one of the two is taken out");
    verified.assert_in_order();
}

#[test]
fn a_span_in_no_place_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.span_at(address);
    let class = listing_class(memory, unit);
    assert!(take_listed(memory, class));
    let error = verified.heap.verify().unwrap_err();
    // Its object is missing from the figures as well.
    assert_eq!(kinds_of(&error), [FindingKind::Figures, FindingKind::SpanList], "{error}");
    class.give_back(unit, true);
    verified.assert_in_order();
}

#[test]
fn a_span_that_is_listed_as_unswept_after_the_sweep_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.span_at(address);
    let class = listing_class(memory, unit);
    // As if it had not been swept of the dead of a cycle that is not there yet.
    class.gather_unswept(&memory.region, memory.marked_cycle() + 1);
    let finding = verified.assert_verify_finds(FindingKind::SpanList);
    assert_eq!(finding.address(), memory.region.span_start(unit).addr().get());
    assert!(finding.to_string().contains("unswept"), "{finding}");
    assert_eq!(class.take_unswept(&memory.classes), Some(unit));
    memory.classes.swept_one();
    class.give_back(unit, true);
    verified.assert_in_order();
}

/// Fails unless a wrong record is all that there is to find, or, if the span is said to be `longer`, that and the number of
/// units in use; and unless what is wrong with it is told so.
#[track_caller]
fn assert_record_is_wrong(verified: &Verified, unit: usize, problem: &str, longer: bool) {
    let error = verified.heap.verify().unwrap_err();
    let expected: &[_] =
        if longer { &[FindingKind::SpanRecord, FindingKind::SpanList] } else { &[FindingKind::SpanRecord] };
    assert_eq!(kinds_of(&error), expected, "{error}");
    let finding = &error.findings()[0];
    assert_eq!(finding.address(), verified.core().memory.region.span_start(unit).addr().get());
    assert!(finding.to_string().contains(problem), "{finding}");
}

#[test]
fn a_record_of_another_type_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.span_at(address);
    let class = listing_class(memory, unit);
    let other = memory.classes.class(<[u8] as Object>::INFO, class.slot_bytes());
    let span = memory.region.span(unit);
    let slots = span.slots();
    span.open(other, class.slot_bytes(), slots, 0, memory.marked_cycle());
    assert_record_is_wrong(&verified, unit, "not of the type of its class", false);
    span.open(class, class.slot_bytes(), slots, 0, memory.marked_cycle());
    verified.assert_in_order();
}

#[test]
fn a_record_of_another_size_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.span_at(address);
    let class = listing_class(memory, unit);
    assert_eq!((class.slot_bytes(), memory.region.span_start(unit).addr().get()), (32, address), "in its first slot");
    let span = memory.region.span(unit);
    span.open(class, 64, QUARTER_BYTES / 64, 0, memory.marked_cycle());
    assert_record_is_wrong(&verified, unit, "0 units and slots of 64, its class 32 bytes", false);
    span.open(class, 32, 2 * SPAN_BYTES / 32, 2, memory.marked_cycle());
    assert_record_is_wrong(&verified, unit, "2 units and slots of 32, its class 32 bytes", true);
    span.open(class, 32, 256, 0, memory.marked_cycle());
    assert_record_is_wrong(&verified, unit, "256 slots of 32 in 16384 bytes", false);
    span.open(class, 32, QUARTER_BYTES / 32, 0, memory.marked_cycle());
    verified.assert_in_order();
}

#[test]
fn a_unit_that_does_not_know_its_place_in_its_span_is_found() {
    let verified = Verified::new();
    let root = verified.heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&[1_u8; 70_000])));
    verified.heap.collect();
    let region = &verified.core().memory.region;
    let unit = region.span_at(verified.heap.mutate(|mu| Gc::as_ptr(root.get(mu)).addr()));
    assert_eq!((region.span(unit).units(), region.span(unit + 1).back()), (2, 1));
    region.span(unit + 1).continue_span(2);
    assert_record_is_wrong(&verified, unit, "unit 1 says that it is unit 2 of 0", false);
    region.span(unit + 1).continue_span(1);
    verified.assert_in_order();
}

#[test]
fn a_quarter_of_a_unit_that_is_not_split_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let span = memory.region.span_at(address);
    let unit = memory.region.span(unit_of_span(span));
    unit.close();
    let error = verified.heap.verify().unwrap_err().to_string();
    assert!(error.contains("a quarter of a unit that is not split"), "{error}");
    assert!(error.contains("its record or that of its unit says something else"), "of the free ones: {error}");
    unit.split();
    verified.assert_in_order();
}

#[test]
fn what_is_left_in_a_free_quarter_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let region = &verified.core().memory.region;
    let free = quarters_of(unit_of_span(region.span_at(address))).last().unwrap();
    let start = region.span_start(free).addr().get();
    region.mark(start + 48).store(1, Ordering::Relaxed);
    let finding = verified.assert_verify_finds(FindingKind::MarkByte);
    assert!(finding.address() == start + 48 && finding.to_string().contains("the quarter is free"), "{finding}");
    region.mark(start + 48).store(0, Ordering::Relaxed);
    verified.assert_in_order();
}
