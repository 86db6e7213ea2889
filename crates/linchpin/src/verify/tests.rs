//! Sabotage: each test breaks one invariant from inside, and the verifier must find that, where it was done, and no more.

use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::exact::VerifyError;
use super::findings::{FindingKind, VerifyFinding};
use super::settings::{DebugSettings, Verify};
use crate::collector::queue::Grey;
use crate::heap::Core;
use crate::memory::class::Class;
use crate::memory::sweep::Memory;
use crate::memory::{GRANULE, PIN_FLAG_CLEAR, PIN_FLAG_RAISED, PIN_FLAG_TOUCHED};
use crate::pin::counter::Bias;
use crate::processor::Local;
use crate::processor::phase::colour_of_cycle;
use crate::{Gc, Heap, Pinner, Root, Trace, Tracer};

/// A pair of words and a pointer: slots of 32 bytes, so that a granule lies in the middle.
#[derive(Trace)]
struct Node<'gc> {
    numbers: [u64; 2],
    next: Option<Gc<'gc, Node<'gc>>>,
}

const fn node<'gc>(next: Option<Gc<'gc, Node<'gc>>>) -> Node<'gc> {
    Node { numbers: [7, 8], next }
}

/// A heap that verifies itself, and what its hook was told.
struct Verified {
    heap: Heap,
    told: Arc<Mutex<Vec<VerifyFinding>>>,
}

impl Verified {
    fn new() -> Self {
        Self::with(DebugSettings::new())
    }

    fn with(settings: DebugSettings) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let heap = Heap::builder()
            .processors(1)
            .region_size(1 << 20)
            .debug(settings.verify(Verify::Strict))
            .on_finding(move |finding| sink.lock().unwrap().push(finding.clone()))
            .build()
            .unwrap();
        Self { heap, told }
    }

    fn core(&self) -> &Core {
        self.heap.core()
    }

    /// Runs a cycle in which this is done between the mark and the sweep.
    fn collect_sabotaged(&self, sabotage: impl FnOnce(&Core) + Send + 'static) {
        *self.core().debug.sabotage.lock() = Some(Box::new(sabotage));
        self.heap.collect();
    }

    /// What the hook has been told since this was last asked.
    fn take_told(&self) -> Vec<VerifyFinding> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Fails unless the hook was told of this kind of thing and no other; gives the first finding.
    #[track_caller]
    fn assert_told(&self, kind: FindingKind) -> VerifyFinding {
        assert_all(&self.take_told(), kind)
    }

    /// Fails unless `Heap::verify` finds this kind of thing and no other; gives the first finding.
    #[track_caller]
    fn assert_verify_finds(&self, kind: FindingKind) -> VerifyFinding {
        assert_all(self.heap.verify().expect_err("it was sabotaged").findings(), kind)
    }

    /// Fails unless everything is in order.
    #[track_caller]
    fn assert_in_order(&self) {
        self.heap.verify().unwrap();
        self.heap.collect();
        let told = self.take_told();
        assert!(told.is_empty(), "{told:?}");
    }

    /// A node behind a root, and its address.
    fn rooted(&self) -> (Root<Node<'static>>, usize) {
        self.heap.mutate(|mu| {
            let object = mu.alloc(node(None));
            (mu.root(object), Gc::as_ptr(object).addr())
        })
    }
}

#[track_caller]
fn assert_all(findings: &[VerifyFinding], kind: FindingKind) -> VerifyFinding {
    let kinds: BTreeSet<String> = findings.iter().map(|finding| format!("{:?}", finding.kind())).collect();
    assert_eq!(kinds, BTreeSet::from([format!("{kind:?}")]), "{findings:#?}");
    findings[0].clone()
}

fn kinds_of(error: &VerifyError) -> Vec<FindingKind> {
    error.findings().iter().map(VerifyFinding::kind).collect()
}

fn set_mark(core: &Core, address: usize, mark: u8) {
    core.memory.region.mark(address).store(mark, Ordering::Relaxed);
}

/// The colour that is dead after the mark of the cycle that is on.
fn white(core: &Core) -> u8 {
    colour_of_cycle(core.memory.marked_cycle() + 1)
}

#[test]
fn a_rooted_object_that_was_not_marked_is_lost_and_saved() {
    let verified = Verified::new();
    let (root, address) = verified.rooted();
    verified.collect_sabotaged(move |core| set_mark(core, address, white(core)));
    let finding = verified.assert_told(FindingKind::LostObject);
    assert_eq!(finding.address(), address);
    assert!(finding.type_name().unwrap().contains("Node"), "{finding}");
    assert!(finding.to_string().contains("root"), "how it was reached: {finding}");
    assert_eq!(verified.heap.mutate(|mu| root.get(mu).numbers), [7, 8], "it was marked after all");
    verified.assert_in_order();
}

#[test]
fn a_pinned_object_that_was_not_marked_is_lost() {
    let verified = Verified::new();
    let mut pinner = Pinner::new();
    let address = verified.heap.mutate(|mu| pinner.pin(mu, mu.alloc(node(None))).addr().get());
    verified.collect_sabotaged(move |core| set_mark(core, address, white(core)));
    let finding = verified.assert_told(FindingKind::LostObject);
    assert!(finding.address() == address && finding.to_string().contains("pin"), "{finding}");
    pinner.unpin();
    verified.assert_in_order();
}

#[test]
fn an_edge_from_black_to_white_is_found() {
    let verified = Verified::new();
    // Both are garbage; the first one is made to look marked.
    let (parent, child) = verified.heap.mutate(|mu| {
        let child = mu.alloc(node(None));
        let parent = mu.alloc(node(Some(child)));
        (Gc::as_ptr(parent).addr(), Gc::as_ptr(child).addr())
    });
    verified.collect_sabotaged(move |core| {
        let black = colour_of_cycle(core.memory.marked_cycle());
        set_mark(core, parent, black);
    });
    let finding = verified.assert_told(FindingKind::BlackToWhite);
    assert_eq!(finding.address(), child);
    assert!(finding.to_string().contains(&format!("{parent:#x}")), "who leads there: {finding}");
    verified.assert_in_order();
}

/// Reports whatever address it is told to.
struct Stray {
    address: AtomicUsize,
    inside: AtomicUsize,
}

// SAFETY: it is not kept to, which is what is to be found; the address is given only while the verifier looks.
unsafe impl Trace for Stray {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer<'_>) {
        let address = self.address.load(Ordering::Relaxed);
        if let Some(start) = NonNull::new(std::ptr::without_provenance_mut::<u8>(address)) {
            // SAFETY: a tracer that inspects looks at the address only.
            tracer.visit(unsafe { Gc::<Self>::from_start(start) });
        }
    }
}

#[test]
fn a_pointer_to_no_object_is_found() {
    let verified = Verified::new();
    let root: Root<Stray> = verified
        .heap
        .mutate(|mu| mu.root(mu.alloc(Stray { address: AtomicUsize::new(0), inside: AtomicUsize::new(0) })));
    let address = verified.heap.mutate(|mu| {
        let stray = root.get(mu);
        stray.inside.store(Gc::as_ptr(stray).addr(), Ordering::Relaxed);
        Gc::as_ptr(stray).expose_provenance()
    });
    let inside = address + GRANULE / 2;
    verified.collect_sabotaged(move |_| {
        // SAFETY: the object is rooted.
        unsafe { &*std::ptr::with_exposed_provenance::<Stray>(address) }.address.store(inside, Ordering::Relaxed);
    });
    verified.heap.mutate(|mu| {
        root.get(mu).address.store(0, Ordering::Relaxed);
        root.get(mu).inside.store(0, Ordering::Relaxed);
    });
    // Its other word leads to itself, and its trace says nothing of that.
    let told = verified.take_told();
    let of =
        |kind| told.iter().filter(|finding| finding.kind() == kind).map(VerifyFinding::address).collect::<Vec<_>>();
    assert_eq!(of(FindingKind::StrayPointer), [inside], "{told:?}");
    assert_eq!(of(FindingKind::UnreportedPointer), [address], "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    verified.assert_in_order();
}

#[test]
fn grey_objects_left_in_the_handshake_to_off_are_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.collect_sabotaged(move |core| core.queue.push(vec![Grey(core.memory.region.pointer(address))]));
    verified.assert_told(FindingKind::GreyLeft);
    assert_eq!(verified.core().queue.take().map(|left| left.len()), Some(1));
    verified.assert_in_order();
}

#[test]
fn a_mark_byte_where_no_object_can_start_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let middle = address + GRANULE;
    verified.collect_sabotaged(move |core| set_mark(core, middle, colour_of_cycle(core.memory.marked_cycle())));
    assert_eq!(verified.assert_told(FindingKind::MarkByte).address(), middle);
    let error = verified.heap.verify().unwrap_err();
    // It counts as an object too many.
    assert_eq!(kinds_of(&error), [FindingKind::MarkByte, FindingKind::Figures], "{error}");
    assert_eq!(error.findings()[0].address(), middle);
    set_mark(verified.core(), middle, 0);
    verified.assert_in_order();
}

#[test]
fn a_mark_byte_of_no_colour_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let mark = verified.core().memory.region.mark(address).load(Ordering::Relaxed);
    set_mark(verified.core(), address, 3);
    assert_eq!(verified.assert_verify_finds(FindingKind::MarkByte).address(), address);
    set_mark(verified.core(), address, mark);
    verified.assert_in_order();
}

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
fn a_counter_on_a_free_slot_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let region = &verified.core().memory.region;
    let unit = region.unit_of(address);
    let free = region.slots(unit).find(|&slot| region.mark(slot).load(Ordering::Relaxed) == 0).unwrap();
    region.pin_flag(unit).store(PIN_FLAG_RAISED, Ordering::Relaxed);
    // Touched, though it counts nothing: the next object would begin with an owner.
    region.pin_counter(free).pin(Bias::of_processor(3)).unwrap();
    region.pin_counter(free).unpin(Bias::of_processor(3));
    let finding = verified.assert_verify_finds(FindingKind::PinCounter);
    assert!(finding.address() == free && finding.to_string().contains("free"), "{finding}");
    region.pin_counter(free).reset();
    verified.assert_in_order();
}

#[test]
fn a_counter_that_no_pinner_accounts_for_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let region = &verified.core().memory.region;
    region.pin_flag(region.unit_of(address)).store(PIN_FLAG_RAISED, Ordering::Relaxed);
    region.pin_counter(address).pin(Bias::of_processor(0)).unwrap();
    assert_eq!(verified.assert_verify_finds(FindingKind::PinCounter).address(), address);
    region.pin_counter(address).unpin(Bias::of_processor(0));
    verified.assert_in_order();
}

#[test]
fn a_pin_that_was_lost_from_its_counter_is_found() {
    let verified = Verified::new();
    let mut pinner = Pinner::new();
    let (root, address) = verified.rooted();
    verified.heap.mutate(|mu| pinner.pin(mu, root.get(mu)));
    let counter = verified.core().memory.region.pin_counter(address);
    counter.unpin(Bias::of_processor(0));
    assert_eq!(verified.assert_verify_finds(FindingKind::PinCounter).address(), address);
    counter.pin(Bias::of_processor(0)).unwrap();
    verified.assert_in_order();
}

#[test]
fn a_lowered_flag_over_a_pin_is_found() {
    for flag in [PIN_FLAG_TOUCHED, PIN_FLAG_CLEAR] {
        let verified = Verified::new();
        let mut pinner = Pinner::new();
        let address = verified.heap.mutate(|mu| pinner.pin(mu, mu.alloc(node(None))).addr().get());
        let region = &verified.core().memory.region;
        let of_unit = region.pin_flag(region.unit_of(address));
        of_unit.store(flag, Ordering::Relaxed);
        assert_eq!(verified.assert_verify_finds(FindingKind::PinFlag).address(), address);
        of_unit.store(PIN_FLAG_RAISED, Ordering::Relaxed);
        verified.assert_in_order();
    }
}

#[test]
fn a_record_of_another_cycle_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let region = &verified.core().memory.region;
    let span = region.span(region.unit_of(address));
    let cycle = span.swept_cycle();
    span.set_swept_cycle(cycle + 2);
    verified.assert_verify_finds(FindingKind::SpanRecord);
    span.set_swept_cycle(cycle);
    verified.assert_in_order();
}

/// The class in whose lists the span is.
fn listing_class(memory: &Memory, unit: usize) -> &Class {
    let lists_it = |class: &&Class| class.listed().all().any(|each| each == unit);
    memory.classes.all().into_iter().find(lists_it).expect("after the sweep it is listed")
}

/// Takes a span out of the lists, as a processor would; whether there was one.
fn take_listed(memory: &Memory, class: &Class) -> bool {
    class.take(&memory.region, &memory.classes, memory.marked_cycle(), false, false).is_some()
}

#[test]
fn a_span_in_two_places_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let memory = &verified.core().memory;
    let unit = memory.region.unit_of(address);
    let class = listing_class(memory, unit);
    class.give_back(unit, true);
    assert_eq!(
        verified.assert_verify_finds(FindingKind::SpanList).address(),
        memory.region.unit_start(unit).addr().get()
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
    let unit = memory.region.unit_of(address);
    let class = listing_class(memory, unit);
    assert!(take_listed(memory, class));
    let error = verified.heap.verify().unwrap_err();
    // Its object is missing from the figures as well.
    assert_eq!(kinds_of(&error), [FindingKind::Figures, FindingKind::SpanList], "{error}");
    class.give_back(unit, true);
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
    memory.region.span(unit).open(class, 32, 1, memory.marked_cycle());
    assert!(verified.assert_verify_finds(FindingKind::FreeUnits).address() != address);
    memory.region.span(unit).close();
    verified.assert_in_order();
}

/// Where the next object of the type of the one at `address` will be: the processor's run begins there.
fn next_slot(core: &Core, address: usize) -> NonNull<usize> {
    let unit = core.memory.region.unit_of(address);
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

/// A hook may allocate. It is told in the midst of an allocation here, when the processor's run is in hand and not in its place, so
/// it makes another one of the kind; neither may be lost.
#[test]
fn a_hook_that_allocates_in_mid_allocation_loses_no_run() {
    let told = Arc::new(AtomicUsize::new(0));
    let made = Arc::new(Mutex::new(None));
    let itself = Arc::<OnceLock<Weak<Heap>>>::default();
    let heap = {
        let (told, made, itself) = (Arc::clone(&told), Arc::clone(&made), Arc::clone(&itself));
        let hook = move |finding: &VerifyFinding| {
            assert_eq!(finding.kind(), FindingKind::WriteAfterFree, "{finding}");
            told.fetch_add(1, Ordering::Relaxed);
            let heap = itself.get().and_then(Weak::upgrade).expect("the heap is there");
            *made.lock().unwrap() = Some(heap.mutate(|mu| mu.root(mu.alloc(node(None)))));
        };
        let settings = DebugSettings::new().poison(true).verify(Verify::Strict);
        Arc::new(Heap::builder().processors(1).region_size(1 << 20).debug(settings).on_finding(hook).build().unwrap())
    };
    itself.set(Arc::downgrade(&heap)).unwrap();
    let region = &heap.core().memory.region;
    let first_word = region.unit_start(heap.core().memory.frontier()).cast::<usize>();
    // SAFETY: the unit is free and mapped, and nobody else uses the heap.
    unsafe { first_word.write(0x1234) };
    let root = heap.mutate(|mu| mu.root(mu.alloc(node(None))));
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let units = [&root, made.lock().unwrap().as_ref().unwrap()]
        .map(|root| heap.mutate(|mu| region.unit_of(Gc::as_ptr(root.get(mu)).addr())));
    assert_ne!(units[0], units[1], "the hook has taken a span of its own");
    // Each span is in a place, and swept in every cycle.
    for _ in 0..3 {
        heap.verify().unwrap();
        heap.collect();
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
}
