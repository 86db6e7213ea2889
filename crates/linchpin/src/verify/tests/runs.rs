//! Runs, figures, and poison.

use std::ptr::NonNull;

use super::*;
use crate::memory::GRANULE;
use crate::processor::Local;

/// Where the next object of the type of the one at `address` will be: the processor's run begins there.
fn next_slot(core: &Core, address: usize) -> NonNull<usize> {
    let unit = core.memory.region.span_at(address);
    let run_of_unit = |local: &Local| local.runs.held().into_iter().find(|run| run.unit == unit).map(|run| run.cursor);
    let cursor = core.with_processor(run_of_unit).expect("the processor still has the run");
    core.memory.region.pointer(cursor).cast()
}

#[test]
fn an_object_in_a_run_of_free_slots_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let core = verified.core();
    let next = next_slot(core, address).addr().get();
    set_mark(core, next, colour_of_cycle(core.memory.marked_cycle()));
    let error = verified.heap.verify().unwrap_err();
    // It was never allocated, as the figures tell.
    assert_eq!(kinds_of(&error), [FindingKind::Run, FindingKind::Figures], "{error}");
    assert_eq!(error.findings()[0].address(), next);
    set_mark(core, next, 0);
    verified.assert_in_order();
}

#[test]
fn figures_that_do_not_add_up_are_found() {
    let verified = Verified::new();
    let (_root, _) = verified.rooted();
    let freed = &verified.core().memory.swept.freed_objects;
    freed.fetch_add(1, Ordering::Relaxed);
    verified.assert_verify_finds(FindingKind::Figures);
    freed.fetch_sub(1, Ordering::Relaxed);
    verified.assert_in_order();
}

#[test]
fn a_write_to_a_free_slot_is_found() {
    let verified = Verified::with(DebugSettings::new().poison(true));
    let (_root, address) = verified.rooted();
    let slot = next_slot(verified.core(), address);
    // SAFETY: the slot is free and mapped, and nobody else uses the heap; the same holds below.
    let poison = unsafe { slot.add(1).read() };
    // SAFETY: as above.
    unsafe { slot.add(1).write(0x1234) };
    let finding = verified.assert_verify_finds(FindingKind::WriteAfterFree);
    assert_eq!(finding.address(), slot.addr().get());
    assert!(finding.to_string().contains("0x1234") && finding.to_string().contains("offset 8"), "{finding}");
    // SAFETY: as above.
    unsafe { slot.add(1).write(poison) };
    verified.assert_in_order();
    // The handing out of a slot looks, too.
    let (_root, address) = verified.rooted();
    let slot = next_slot(verified.core(), address);
    // SAFETY: as above.
    unsafe { slot.write(0x5678) };
    let _next = verified.rooted();
    assert_eq!(verified.assert_told(FindingKind::WriteAfterFree).address(), slot.addr().get());
    verified.assert_in_order();
}

#[test]
fn freed_memory_is_filled() {
    let verified = Verified::with(DebugSettings::new().poison(true));
    let (_kept, _) = verified.rooted();
    let (root, address) = verified.rooted();
    drop(root);
    verified.heap.collect();
    let words = verified.core().memory.region.pointer(address).cast::<[u8; 32]>();
    // SAFETY: the slot is free, filled and mapped.
    assert_eq!(unsafe { words.read() }, [0xA5; 32]);
    verified.assert_in_order();
}

#[test]
fn a_span_that_two_hold_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let memory = &verified.core().memory;
    let unit = memory.region.span_at(address);
    // The processor goes on to have its run there.
    let class = class_of(memory, unit);
    class.give_back(unit, true);
    let outcome = verified.heap.verify();
    // Mended before anything may fail: the heap of a failed test is dropped, too.
    assert!(take_listed(memory, class));
    let finding = assert_all(outcome.expect_err("it was sabotaged").findings(), FindingKind::Run);
    assert_eq!(finding.address(), memory.region.span_start(unit).addr().get());
    verified.assert_in_order();
}

#[test]
fn a_run_that_does_not_fit_its_slots_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let core = verified.core();
    let unit = core.memory.region.span_at(address);
    // In the middle of a slot, behind the span.
    for by in [GRANULE as isize, 1 << 16] {
        core.with_processor(|local| local.runs.move_cursor(unit, by));
        let error = verified.heap.verify().unwrap_err();
        assert_eq!(error.findings()[0].kind(), FindingKind::Run, "{error}");
        assert!(error.findings()[0].to_string().contains("does not fit"), "{error}");
        core.with_processor(|local| local.runs.move_cursor(unit, -by));
    }
    verified.assert_in_order();
}
