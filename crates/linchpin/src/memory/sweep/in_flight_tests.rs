//! Sweeps by processors, beside that of the collector.

use std::cell::Cell;
use std::thread;

use crate::collector::cycle::Cycle;
use crate::collector::workers::Workers;
use crate::heap::Core;
use crate::memory::class::Class;
use crate::memory::sweep::{MOST_IN_VAIN, Memory};
use crate::processor::phase::Mode;
use crate::processor::thread::Sweeping;
use crate::{Gc, Heap, Root};

/// Runs `check` on the memory of a heap with one object, alive or dead, in a cycle whose sweep has been opened and not begun.
fn with_an_open_sweep(keep: bool, check: impl FnOnce(&Memory, u64)) {
    let heap = Heap::builder().processors(1).build().unwrap();
    let root = heap.mutate(|mu| mu.root(mu.alloc(7_u64)));
    let _root = keep.then_some(root);
    let core = heap.core();
    let number = open_a_sweep(core);
    check(&core.memory, number);
}

/// Marks, and opens the sweep; returns the number of the cycle.
fn open_a_sweep(core: &Core) -> u64 {
    let workers = Workers::none();
    let mut cycle = Cycle::begin(core, &workers);
    cycle.take_the_snapshot();
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    let number = core.memory.marked_cycle();
    core.memory.open_sweep(number);
    number
}

/// What a processor has taken to sweep belongs to the cycle, too: it does not end before.
#[test]
fn a_cycle_waits_for_sweeps_in_flight() {
    with_an_open_sweep(true, |memory, number| {
        let classes = memory.classes.all();
        let (unit, class) = classes
            .iter()
            .find_map(|class| class.take_unswept(&memory.classes).map(|unit| (unit, class)))
            .expect("the object lies in some span");
        thread::scope(|scope| {
            scope.spawn(|| memory.sweep_all(number));
            // Time enough for a sweep that does not wait.
            for _ in 0..2000 {
                assert!(memory.is_sweep_pending(), "the sweep has ended, and a span is not swept");
                thread::yield_now();
            }
            memory.sweep_and_return(unit, class, number);
        });
        assert!(!memory.is_sweep_pending());
    });
}

/// As soon as the sweep is open, a processor that needs room sweeps for itself, and uses what it finds beside the living.
#[test]
fn a_processor_sweeps_what_it_needs() {
    for keep in [false, true] {
        with_an_open_sweep(keep, |memory, number| {
            let classes = memory.classes.all();
            let (unit, class) = classes
                .iter()
                .find_map(|class| class.listed().unswept.first().map(|&unit| (unit as usize, class)))
                .expect("the object lies in some span");
            let taken = memory.take_span(class, Mode::Off).expect("there is room");
            assert_eq!(taken.unit, unit, "the span of the object");
            assert_eq!(taken.fresh, !keep, "whether anything lives there");
            class.give_back(unit, true);
            memory.sweep_all(number);
            assert!(!memory.is_sweep_pending());
        });
    }
}

/// A span in which everything lives has no room, whoever has swept it.
#[test]
fn a_full_span_is_offered_to_nobody() {
    for swept_before in [true, false] {
        let heap = Heap::builder().processors(1).build().unwrap();
        let (memory, region) = (&heap.core().memory, &heap.core().memory.region);
        let mut full = None;
        let _roots: Vec<Root<u64>> = heap.mutate(|mu| {
            let first = mu.alloc(0_u64);
            let unit = region.span_at(Gc::as_ptr(first).addr());
            full = Some(unit);
            let others = (1..region.span(unit).slots()).map(|_| mu.alloc(0_u64));
            std::iter::once(first).chain(others).map(|object| mu.root(object)).collect()
        });
        let number = open_a_sweep(heap.core());
        if swept_before {
            memory.sweep_all(number);
        }
        let classes = memory.classes.all();
        let class = classes.iter().find(|class| class.slot_bytes() != 0).expect("the objects have a class");
        let taken = memory.take_span(class, Mode::Off).expect("the region is not full");
        assert!(taken.fresh && Some(taken.unit) != full);
        class.give_back(taken.unit, true);
        memory.sweep_all(number);
    }
}

/// A heap of 16 MiB whose class of numbers has so many full spans, in which all lives but for the first number of all; what keeps
/// the others.
fn full_spans(count: usize) -> (Heap, Vec<Root<[Gc<'static, u64>]>>) {
    let heap = Heap::builder().processors(1).region_size(1 << 24).growth_percent(1000).build().unwrap();
    let roots = heap.mutate(|mu| {
        let slots = heap.core().memory.region.span_of(Gc::start(mu.alloc(0_u64))).slots();
        let keep = |dead| {
            let numbers: Vec<_> = (dead..slots).map(|_| mu.alloc(1_u64)).collect();
            mu.root(mu.alloc_slice_with(numbers.len(), |index| numbers[index]))
        };
        (0..count).map(|span| keep(usize::from(span == 0))).collect()
    });
    (heap, roots)
}

/// A mutation that needs room does not go through all that lives.
#[test]
fn a_processor_sweeps_only_so_much_in_vain() {
    let (heap, _roots) = full_spans(3 * MOST_IN_VAIN as usize);
    let number = open_a_sweep(heap.core());
    let memory = &heap.core().memory;
    let unswept = |class: &Class| class.listed().unswept.len();
    let classes = memory.classes.all();
    let class = classes.iter().max_by_key(|class| unswept(class)).expect("there are classes");
    let before = unswept(class);
    let taken = memory.take_span(class, Mode::Off).expect("the region is not full");
    assert!(taken.fresh);
    assert_eq!(before - unswept(class), MOST_IN_VAIN as usize);
    class.give_back(taken.unit, true);
    memory.sweep_all(number);
}

/// But to say that the region is full while there is room would be worse.
#[test]
fn a_processor_goes_on_sweeping_where_no_span_is_free() {
    let (heap, _roots) = full_spans(3 * MOST_IN_VAIN as usize);
    let memory = &heap.core().memory;
    let number = open_a_sweep(heap.core());
    while memory.take_units(1).is_some() {}
    let classes = memory.classes.all();
    let class = classes.iter().max_by_key(|class| class.listed().unswept.len()).expect("there are classes");
    let taken = memory.try_take_span(class, Mode::Off).expect("one slot is free, and is found at once");
    assert!(!taken.fresh);
    class.give_back(taken.unit, true);
    memory.sweep_all(number);
}

/// A full region is looked at again while a sweep is pending that may find room, by whoever that sweep does not wait for.
#[test]
fn only_a_pending_sweep_is_waited_for() {
    // How often it is tried, if there is room from the third time on.
    let tries = |memory: &Memory, mode| {
        let tries = Cell::new(0_u32);
        let taken = memory.patiently(mode, || {
            tries.set(tries.get() + 1);
            (tries.get() >= 3).then_some(())
        });
        assert_eq!(taken.is_some(), tries.get() >= 3);
        tries.get()
    };
    with_an_open_sweep(true, |memory, number| {
        assert_eq!(tries(memory, Mode::Off), 3);
        assert_eq!([Mode::Arm, Mode::Mark, Mode::Close].map(|mode| tries(memory, mode)), [1; 3]);
        {
            let _this_thread_sweeps = Sweeping::begin(memory.heap);
            assert_eq!(tries(memory, Mode::Off), 1);
        }
        memory.sweep_all(number);
        assert_eq!(tries(memory, Mode::Off), 1);
    });
}
