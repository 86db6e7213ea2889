//! What the hook of `HeapBuilder::on_finding` does: if it returns, the heap goes on and nothing is lost; if it panics, the process
//! ends and says why, wherever the heap was.

use std::sync::{Arc, Mutex};

use crate::common::Triple;
use crate::process::{Ended, in_own_process};
use linchpin::{DebugSettings, FindingKind, Gc, Heap, Pinner, Root, Trace, Tracer, Verify, VerifyFinding};

/// A hand-written `Trace` that forgets a pointer.
#[repr(C)]
struct Forgetful<'gc> {
    number: u64,
    forgotten: Gc<'gc, Triple>,
}

// SAFETY: none; it forgets a field, which is what is to be found. What it forgets is never looked at.
unsafe impl Trace for Forgetful<'_> {
    type Branded<'b> = Forgetful<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, _: &mut Tracer<'_>) {}
}

/// A heap of one processor that does as the settings say.
fn heap(settings: DebugSettings, hook: impl Fn(&VerifyFinding) + Send + Sync + 'static) -> Heap {
    Heap::builder().processors(1).debug(settings).on_finding(hook).build().expect("a heap of one processor")
}

fn panicking(finding: &VerifyFinding) {
    panic!("a hook that panics about {:?}", finding.kind());
}

/// Writes to a slot that is free again, and allocates until it is handed out.
fn write_to_a_free_slot(heap: &Heap) {
    let _kept = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    let address = heap.mutate(|mu| Pinner::new().pin(mu, mu.alloc(Triple::of(2))));
    heap.collect();
    // SAFETY: none; the object is gone. Its memory is mapped all the same, and nobody allocates meanwhile.
    unsafe { address.cast::<u64>().as_ptr().write(0xBAD) };
    heap.mutate(|mu| (0..10).for_each(|number| _ = mu.alloc(Triple::of(number))));
}

/// Writes to units that are free again, and allocates an object that takes them up.
fn write_to_a_free_unit(heap: &Heap) {
    let bytes = [7_u8; 70_000];
    let address = heap.mutate(|mu| Pinner::new().pin(mu, mu.alloc_slice_copy(&bytes)));
    // In use behind it, so that the units do not just lie beyond what was ever used.
    let _kept = heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&bytes)));
    heap.collect();
    // SAFETY: none, as above.
    unsafe { address.cast::<u8>().as_ptr().write(0xBD) };
    heap.mutate(|mu| _ = mu.alloc_slice_copy(&bytes));
}

/// An object with a forgotten pointer, which the verifier finds in the next cycle.
fn forget(heap: &Heap) -> Root<Forgetful<'static>> {
    let root = heap.mutate(|mu| mu.root(mu.alloc(Forgetful { number: 1, forgotten: mu.alloc(Triple::of(3)) })));
    heap.mutate(|mu| assert_eq!((root.get(mu).number, root.get(mu).forgotten.x), (1, 3)));
    root
}

/// Fails unless the process has told the finding, and that a hook's panic has ended it.
#[track_caller]
fn assert_ended_by_the_hook(ended: Ended, kind: FindingKind) {
    let said = ended.by_abort();
    assert!(said.contains(&format!("a hook that panics about {kind:?}")), "the panic itself: {said}");
    assert!(said.contains(&format!("linchpin: {kind:?} in heap ")), "what was found: {said}");
    let reason = "linchpin: the hook of HeapBuilder::on_finding panicked when it was told this; aborting";
    assert!(said.contains(reason), "{said}");
    assert!(!said.contains("a hand-written Trace must not panic"), "that was not the reason: {said}");
}

#[test]
fn a_hook_that_panics_where_a_slot_is_handed_out_ends_the_process() {
    let test = "finding_hook::a_hook_that_panics_where_a_slot_is_handed_out_ends_the_process";
    let ended = in_own_process(test, || write_to_a_free_slot(&heap(DebugSettings::new().poison(true), panicking)));
    assert_ended_by_the_hook(ended, FindingKind::WriteAfterFree);
}

#[test]
fn a_hook_that_panics_where_a_unit_is_handed_out_ends_the_process() {
    let test = "finding_hook::a_hook_that_panics_where_a_unit_is_handed_out_ends_the_process";
    let ended = in_own_process(test, || write_to_a_free_unit(&heap(DebugSettings::new().poison(true), panicking)));
    assert_ended_by_the_hook(ended, FindingKind::WriteAfterFree);
}

/// Also if it is told of a mere suspicion, with which the process goes on without a hook.
#[test]
fn a_hook_that_panics_in_a_cycle_ends_the_process() {
    let test = "finding_hook::a_hook_that_panics_in_a_cycle_ends_the_process";
    let ended = in_own_process(test, || {
        let heap = heap(DebugSettings::new().verify(Verify::On), panicking);
        let _root = forget(&heap);
        heap.collect();
    });
    assert_ended_by_the_hook(ended, FindingKind::UnreportedPointer);
}

/// There the last cycle runs on the program's own thread.
#[test]
fn a_hook_that_panics_while_a_heap_is_dropped_ends_the_process() {
    let test = "finding_hook::a_hook_that_panics_while_a_heap_is_dropped_ends_the_process";
    let ended = in_own_process(test, || {
        let heap = heap(DebugSettings::new().verify(Verify::On), panicking);
        let _root = forget(&heap);
        drop(heap);
    });
    assert_ended_by_the_hook(ended, FindingKind::UnreportedPointer);
}

#[test]
fn a_hook_that_returns_loses_no_memory() {
    for write in [write_to_a_free_slot, write_to_a_free_unit] {
        let told = Arc::<Mutex<Vec<FindingKind>>>::default();
        let sink = Arc::clone(&told);
        let settings = DebugSettings::new().poison(true).verify(Verify::Strict);
        let heap = heap(settings, move |finding| sink.lock().expect("nobody panics with it").push(finding.kind()));
        write(&heap);
        assert_eq!(*told.lock().expect("nobody panics with it"), [FindingKind::WriteAfterFree]);
        heap.verify().expect("the figures add up");
        heap.collect();
        let report = heap.verify().expect("the figures add up");
        assert_eq!((report.objects, report.spans), (0, 0), "nothing is left");
        assert_eq!(told.lock().expect("nobody panics with it").len(), 1);
    }
}
