//! What markers share with one another, and how they wait.

use std::thread;

use super::{Marking, SHARE_ABOVE, Tracer, trace_some};
use crate::collector::queue::Grey;
use crate::heap::Core;
use crate::memory::GRANULE;
use crate::sync::Ordering;
use crate::{GcCell, Heap};

/// Objects with a trace, which comes to nothing.
fn grey_objects(heap: &Heap, count: usize) -> Vec<Grey> {
    heap.mutate(|mu| (0..count).map(|_| Grey(mu.alloc(GcCell::<u64>::null()).start())).collect())
}

fn tracer_with(core: &Core, grey: Vec<Grey>) -> Tracer<'_> {
    let mut tracer = Tracer::new(&core.memory.region, 1);
    tracer.stack = grey;
    tracer
}

/// How many batches one of `markers` shares, while `idle` others wait, when it begins with `count` objects.
fn shared(markers: usize, idle: usize, count: usize) -> u64 {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let marking = Marking::new(markers);
    marking.idle.store(idle, Ordering::SeqCst);
    marking.drain(&core.queue, &core.pace, &mut tracer_with(core, grey_objects(&heap, count)));
    assert!(core.queue.is_empty(), "whatever was shared is traced");
    core.queue.pushed()
}

/// One object is traced before a marker looks whether it has too many.
#[test]
fn half_of_a_long_stack_is_shared_with_who_is_idle() {
    assert_eq!(shared(2, 1, SHARE_ABOVE + 1), 0);
    assert_eq!(shared(2, 1, SHARE_ABOVE + 2), 1);
    // 1000 are shared; when those are taken, 500 of 999; when those are taken, 249 of 499.
    assert_eq!(shared(2, 1, 2001), 3);
    assert_eq!(shared(1, 0, 2001), 0, "there is no other marker");
}

/// A mutation that assists gets half of a long stack, once, even of the only marker's.
#[test]
fn half_of_a_long_stack_is_shared_with_who_assists() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let region = &core.memory.region;
    assert_eq!(core.queue.assist(|_| unreachable!("there is no batch")), None);
    assert!(core.queue.is_wanted());
    let drain = || {
        let mut tracer = tracer_with(core, grey_objects(&heap, 2001));
        Marking::new(1).drain(&core.queue, &core.pace, &mut tracer);
        core.queue.pushed()
    };
    assert_eq!([drain(), drain()], [1, 1]);
    core.queue.push(grey_objects(&heap, 5));
    let traced = core.queue.assist(|batch| {
        assert!(core.queue.is_assisted());
        let mut tracer = Tracer::new(region, 1);
        tracer.add_grey(batch);
        trace_some(&core.queue, &mut tracer, 2 * GRANULE as u64)
    });
    assert_eq!(traced, Some(2 * GRANULE as u64));
    assert!(!core.queue.is_assisted());
    assert_eq!(core.queue.take().map(|left| left.len()), Some(3), "what is left goes back");
}

/// What is shared already comes first.
#[test]
fn nothing_is_shared_while_there_is_work_in_the_queue() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let marking = Marking::new(2);
    marking.idle.store(1, Ordering::SeqCst);
    core.queue.push(grey_objects(&heap, 1));
    marking.drain(&core.queue, &core.pace, &mut tracer_with(core, grey_objects(&heap, 2 * SHARE_ABOVE)));
    assert_eq!(core.queue.pushed(), 1, "this test's own");
}

/// A marker that has run out of work does not go before all have: others may share theirs. Nothing is shared with nobody.
#[test]
fn a_marker_waits_for_the_others() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let marking = Marking::new(2);
    let (first, later) = (grey_objects(&heap, 2 * SHARE_ABOVE), grey_objects(&heap, 1));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| marking.drain(&core.queue, &core.pace, &mut tracer_with(core, first)));
        let until_it_waits = || {
            while marking.idle.load(Ordering::SeqCst) == 0 || !core.queue.is_empty() {
                assert!(!waiter.is_finished(), "the other marker has not ended");
                thread::yield_now();
            }
        };
        until_it_waits();
        assert_eq!(core.queue.pushed(), 0, "nobody was idle");
        core.queue.push(later);
        until_it_waits();
        marking.drain(&core.queue, &core.pace, &mut tracer_with(core, Vec::new()));
    });
    assert!(core.queue.is_empty());
}
