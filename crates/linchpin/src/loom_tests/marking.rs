//! Mark bytes and the queue with several markers, and the helpers' hand-shake with who calls them.

use super::{explore, heap, is_allocated, lone, mark_of, spawn, thing};
use crate::collector::cycle::Cycle;
use crate::collector::mark::Tracer;
use crate::collector::mark::sharing::Marking;
use crate::collector::queue::{Grey, GreyQueue};
use crate::collector::room::Room;
use crate::collector::workers::Workers;
use crate::processor::phase::colour_of_cycle;
use crate::sync::{Arc, AtomicUsize, Ordering};

/// Two markers, and a graph that both reach from their ends: everything is black in the end, nothing is left in the queue.
#[test]
fn two_markers_miss_nothing() {
    explore("two_markers_miss_nothing", 3, || {
        let heap = heap(1);
        let root = heap.mutate(|mu| {
            let shared = thing(mu, 1, None);
            let one = thing(mu, 2, Some(shared));
            let other = thing(mu, 3, Some(shared));
            one.next.store(mu, shared);
            (mu.root(one), mu.root(other), mu.root(shared))
        });
        let black = colour_of_cycle(1);
        let starts = heap.mutate(|mu| [&root.0, &root.1].map(|root| root.get(mu).start()));
        let queue = Arc::new(GreyQueue::new());
        queue.push(vec![Grey(starts[0])]);
        queue.push(vec![Grey(starts[1])]);
        let marking = Arc::new(Marking::new(2));
        let helper = {
            let (heap, queue, marking) = (Arc::clone(&heap), Arc::clone(&queue), Arc::clone(&marking));
            spawn(move || marking.drain(&queue, &heap.core().pace, &mut Tracer::new(&heap.core().memory.region, black)))
        };
        marking.drain(&queue, &heap.core().pace, &mut Tracer::new(&heap.core().memory.region, black));
        helper.join().unwrap();
        assert!(queue.is_empty());
        heap.mutate(|mu| {
            let shared = root.2.get(mu);
            assert!(is_allocated(&heap, shared));
            let mark = heap.core().memory.region.mark(shared.start().addr().get());
            assert_eq!(mark.load(Ordering::Relaxed), black);
            // As before, so that the heap may end.
            mark.store(colour_of_cycle(0), Ordering::Relaxed);
        });
    });
}

/// Two markers, and a mutation that links a newborn behind an object that they trace: whoever comes across it sees it whole, and
/// everything is black in the end.
#[test]
fn two_markers_and_an_allocator_miss_nothing() {
    explore("two_markers_and_an_allocator_miss_nothing", 2, || {
        let heap = heap(1);
        let roots = Arc::new([lone(&heap, 1), lone(&heap, 2)]);
        let starts = heap.mutate(|mu| roots.each_ref().map(|root| root.get(mu).start()));
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        let black = colour_of_cycle(1);
        let queue = Arc::new(GreyQueue::new());
        for start in starts {
            let mut tracer = Tracer::new(&heap.core().memory.region, black);
            tracer.visit_root(start);
            queue.push(vec![Grey(start)]);
        }
        let marking = Arc::new(Marking::new(2));
        let helper = {
            let (heap, queue, marking) = (Arc::clone(&heap), Arc::clone(&queue), Arc::clone(&marking));
            spawn(move || marking.drain(&queue, &heap.core().pace, &mut Tracer::new(&heap.core().memory.region, black)))
        };
        let mutator = {
            let (heap, roots) = (Arc::clone(&heap), Arc::clone(&roots));
            spawn(move || heap.mutate(|mu| roots[1].get(mu).next.store(mu, thing(mu, 3, None))))
        };
        marking.drain(&queue, &heap.core().pace, &mut Tracer::new(&heap.core().memory.region, black));
        helper.join().unwrap();
        mutator.join().unwrap();
        cycle.mark();
        cycle.close();
        heap.mutate(|mu| {
            let objects = roots.each_ref().map(|root| root.get(mu));
            let born = objects[1].next.load().expect("it was stored");
            assert_eq!(born.read(), 3);
            assert!([objects[0], objects[1], born].iter().all(|&object| mark_of(&heap, object) == black));
        });
        cycle.switch_off();
        cycle.sweep();
    });
}

/// A marker, and an idle helper that may have to leave because a mutation runs: whatever it leaves, the marker traces, or it is in the
/// queue, where the next closing round finds it.
#[test]
fn an_idle_helper_that_leaves_loses_nothing() {
    explore("an_idle_helper_that_leaves_loses_nothing", 3, || {
        let heap = heap(2);
        let root = heap.mutate(|mu| {
            let end = thing(mu, 1, None);
            let middle = thing(mu, 2, Some(end));
            mu.root(thing(mu, 3, Some(middle)))
        });
        let black = colour_of_cycle(1);
        let start = heap.mutate(|mu| root.get(mu).start());
        let queue = Arc::new(GreyQueue::new());
        heap.core().memory.region.mark(start.addr().get()).store(black, Ordering::Relaxed);
        queue.push(vec![Grey(start)]);
        let marking = Arc::new(Marking::new(1));
        let helper = {
            let (heap, queue, marking) = (Arc::clone(&heap), Arc::clone(&queue), Arc::clone(&marking));
            spawn(move || {
                let mut tracer = Tracer::new(&heap.core().memory.region, black);
                let none = Workers::none();
                let room = Room::new(&heap.core().processors, &none);
                marking.drain_while(|markers| !room.is_exceeded(markers), &queue, &heap.core().pace, &mut tracer);
            })
        };
        let mutator = {
            let heap = Arc::clone(&heap);
            spawn(move || heap.mutate(|_| ()))
        };
        let mut tracer = Tracer::new(&heap.core().memory.region, black);
        marking.drain(&queue, &heap.core().pace, &mut tracer);
        helper.join().unwrap();
        mutator.join().unwrap();
        marking.drain(&queue, &heap.core().pace, &mut tracer);
        assert!(queue.is_empty());
        heap.mutate(|mu| {
            let first = root.get(mu);
            let middle = first.next.load().expect("it was stored");
            for object in [first, middle, middle.next.load().expect("it was stored")] {
                assert_eq!(mark_of(&heap, object), black);
                // As before, so that the heap may end.
                heap.core()
                    .memory
                    .region
                    .mark(object.start().addr().get())
                    .store(colour_of_cycle(0), Ordering::Relaxed);
            }
        });
    });
}

/// An idle helper that is called comes, or is not waited for, and runs no job but that; the job lives as long as it runs.
#[test]
fn idle_helpers_come_when_called_or_not_at_all() {
    explore("idle_helpers_come_when_called_or_not_at_all", 2, || {
        let workers = Workers::start(0, 1, 1);
        workers.call_idle();
        for jobs in 1..=2 {
            let runs = AtomicUsize::new(0);
            let count = |_| _ = runs.fetch_add(1, Ordering::Relaxed);
            workers.with_helpers(&count, || workers.call_idle());
            assert!(runs.load(Ordering::Relaxed) <= 1, "job {jobs}");
        }
    });
}

/// Helpers run each job once, the caller sees what they did, and ends them.
#[test]
fn helpers_run_each_job_once() {
    explore("helpers_run_each_job_once", 3, || {
        let workers = Workers::start(1, 0, 1);
        for jobs in 1..=2 {
            let runs = AtomicUsize::new(0);
            let count = |_| _ = runs.fetch_add(1, Ordering::Relaxed);
            workers.with_helpers(&count, || ());
            assert_eq!(runs.load(Ordering::Relaxed), 1, "job {jobs}");
        }
    });
}
