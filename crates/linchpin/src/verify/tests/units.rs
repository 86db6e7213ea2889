//! Free units.

use super::*;
use crate::memory::{GRANULE, PIN_FLAG_CLEAR, PIN_FLAG_RAISED, PIN_FLAG_TOUCHED, SPAN_BYTES};
use crate::pin::counter::Bias;

#[test]
fn a_live_byte_in_a_free_unit_is_found() {
    let verified = Verified::new();
    let core = verified.core();
    // Comes into use and goes back, with something in use behind it, so that it is not just what was never used.
    let address = verified.heap.mutate(|mu| Gc::as_ptr(mu.alloc_slice_copy(&[1_u8; 70_000])).addr());
    let _behind = verified.rooted();
    verified.heap.collect();
    assert!(core.memory.region.span(core.memory.region.unit_of(address)).info().is_none(), "the unit is free");
    let start = core.memory.region.unit_start(core.memory.region.unit_of(address)).addr().get();
    set_mark(core, start, 1);
    assert_eq!(verified.assert_verify_finds(FindingKind::MarkByte).address(), start);
    set_mark(core, start, 0);
    verified.assert_in_order();
}

#[test]
fn a_free_unit_with_a_record_is_found() {
    let verified = Verified::new();
    let memory = &verified.core().memory;
    let (_root, address) = verified.rooted();
    let freed = verified.heap.mutate(|mu| Gc::as_ptr(mu.alloc_slice_copy(&[1_u8; 70_000])).addr());
    // A unit in use behind it, so that it does not just lie beyond what was ever used.
    let _behind = verified.heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&[1_u8; 70_000])));
    verified.heap.collect();
    let unit = memory.region.unit_of(freed);
    assert!(memory.region.span(unit).info().is_none(), "the unit is free");
    let class = memory.classes.all()[0];
    memory.region.span(unit).open(class, 32, SPAN_BYTES / 32, 1, memory.marked_cycle());
    assert!(verified.assert_verify_finds(FindingKind::FreeUnits).address() != address);
    memory.region.span(unit).close();
    verified.assert_in_order();
}

/// A heap with a free run of two units below one in use; and the first of the two.
fn with_free_units(settings: DebugSettings) -> (Verified, Root<Node<'static>>, usize) {
    let verified = Verified::with(settings);
    let freed = verified.heap.mutate(|mu| Gc::as_ptr(mu.alloc_slice_copy(&[1_u8; 70_000])).addr());
    let (behind, _) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.unit_of(freed);
    assert!(memory.with_free_spans(|free| free.runs().eq(std::iter::once(unit..unit + 2))), "the units are free");
    (verified, behind, unit)
}

#[test]
fn a_table_of_free_units_that_does_not_agree_with_itself_is_found() {
    let (verified, _behind, unit) = with_free_units(DebugSettings::new());
    let memory = &verified.core().memory;
    memory.with_free_spans_mut(|free| free.flip_free(unit));
    let finding = verified.assert_verify_finds(FindingKind::FreeUnits);
    assert!(finding.to_string().contains("1 units are in the free ones, which count 2"), "{finding}");
    memory.with_free_spans_mut(|free| free.flip_free(unit));
    verified.assert_in_order();
}

#[test]
fn a_counter_in_a_free_unit_is_found() {
    let (verified, _behind, unit) = with_free_units(DebugSettings::new());
    let region = &verified.core().memory.region;
    let granule = region.unit_start(unit + 1).addr().get() + 3 * GRANULE;
    // Touched, though it counts nothing.
    region.pin_counter(granule).pin(Bias::of_processor(3), &region.stripes).unwrap();
    region.pin_counter(granule).unpin(Bias::of_processor(3));
    let finding = verified.assert_verify_finds(FindingKind::PinCounter);
    assert!(finding.address() == granule && finding.to_string().contains("the unit is free"), "{finding}");
    region.pin_counter(granule).reset(&region.stripes);
    verified.assert_in_order();
}

#[test]
fn a_flag_of_a_free_unit_is_found() {
    for flag in [PIN_FLAG_TOUCHED, PIN_FLAG_RAISED] {
        let (verified, _behind, unit) = with_free_units(DebugSettings::new());
        let region = &verified.core().memory.region;
        region.pin_flag(unit).store(flag, Ordering::Relaxed);
        let finding = verified.assert_verify_finds(FindingKind::PinFlag);
        assert_eq!(finding.address(), region.unit_start(unit).addr().get());
        region.pin_flag(unit).store(PIN_FLAG_CLEAR, Ordering::Relaxed);
        verified.assert_in_order();
    }
}

#[test]
fn a_write_to_a_free_unit_is_found() {
    let (verified, _behind, unit) = with_free_units(DebugSettings::new().poison(true));
    let start = verified.core().memory.region.unit_start(unit + 1);
    // SAFETY: the unit is free and mapped, and nobody else uses the heap.
    unsafe { start.cast::<usize>().add(5).write(0x9ABC) };
    verified.heap.mutate(|mu| _ = mu.alloc_slice_copy(&[1_u8; 70_000]));
    let finding = verified.assert_told(FindingKind::WriteAfterFree);
    assert_eq!(finding.address(), start.addr().get());
    assert!(finding.to_string().contains("offset 40 this free unit holds 0x9abc"), "{finding}");
    verified.assert_in_order();
}
