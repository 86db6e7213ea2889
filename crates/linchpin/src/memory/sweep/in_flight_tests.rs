//! Sweeps by processors, beside that of the collector.

use std::thread;

use crate::Heap;
use crate::collector::cycle::Cycle;
use crate::collector::workers::Workers;
use crate::memory::sweep::Memory;

/// What a processor has taken to sweep belongs to the cycle, too: it does not end before.
#[test]
fn a_cycle_waits_for_sweeps_in_flight() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let _root = heap.mutate(|mu| mu.root(mu.alloc(7_u64)));
    let core = heap.core();
    let workers = Workers::none();
    let mut cycle = Cycle::begin(core, &workers);
    cycle.take_the_snapshot();
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    let memory: &Memory = &core.memory;
    let number = memory.marked_cycle();
    memory.open_sweep(number);
    let classes = memory.classes.all();
    let (unit, class) = classes
        .iter()
        .find_map(|class| class.take_unswept(&memory.classes).map(|unit| (unit, class)))
        .expect("the root's object lies in some span");
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
}
