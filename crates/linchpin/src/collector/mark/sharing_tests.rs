//! What markers share with one another, and how they wait.

use std::cell::Cell;
use std::thread;

use super::pending::Pending;
use super::sharing::{LOOK_AFTER, MOST_PARTS, Marking, Pieces, trace_pieces, trace_some};
use super::window::WINDOW_BYTES;
use super::{PART_BYTES, Tracer};
use crate::collector::queue::{Grey, ROOM};
use crate::heap::Core;
use crate::memory::{GRANULE, SPAN_BYTES};
use crate::processor::phase::colour_of_cycle;
use crate::sync::Ordering;
use crate::{Gc, GcCell, GcMutex, Heap, Trace};

/// Objects with a trace, which comes to nothing.
fn grey_objects(heap: &Heap, count: usize) -> Vec<Grey> {
    heap.mutate(|mu| (0..count).map(|_| Grey(mu.alloc(GcCell::<u64>::null()).start())).collect())
}

fn tracer_with(core: &Core, grey: Vec<Grey>) -> Tracer<'_> {
    let mut tracer = Tracer::new(&core.memory.region, 1);
    tracer.stack = grey;
    tracer
}

const _: () = assert!(LOOK_AFTER < SPAN_BYTES as u64, "a marker looks in the midst of a unit");

/// How many batches a marker shares that begins with `count` objects.
fn shared(count: usize) -> u64 {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    Marking::new(1).drain(&core.queue, &core.pace, &mut tracer_with(core, grey_objects(&heap, count)));
    assert!(core.queue.is_empty(), "whatever was shared is traced");
    assert_eq!(core.pace.traced(), (count * GRANULE) as u64, "and all is told of");
    core.queue.pushed()
}

/// So many objects of a granule fill a unit.
const UNIT: usize = SPAN_BYTES / GRANULE;

/// A marker looks after so many bytes, and shares units that wait, or else half of what is left of the one whose turn it is.
#[test]
fn half_of_what_is_pending_is_shared() {
    assert_eq!(shared(LOOK_AFTER as usize / GRANULE), 0, "nothing is left");
    assert_eq!(shared(UNIT), 1);
    // A unit that was shared and comes back is shared in its turn.
    assert_eq!(shared(2 * UNIT), 2);
    assert_eq!(shared(4 * UNIT), 2);
}

/// What leads to more is shared once more when the queue is empty.
#[test]
fn what_was_taken_is_shared_again() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let grey = grey_objects(&heap, 3 * UNIT);
    core.queue.push(grey[..UNIT].to_vec());
    core.queue.push(grey[UNIT..].to_vec());
    Marking::new(1).drain(&core.queue, &core.pace, &mut tracer_with(core, Vec::new()));
    assert_eq!(core.pace.traced(), 3 * SPAN_BYTES as u64);
    assert_eq!(core.queue.pushed(), 4, "two by this test, one of the two units of the second, half of that");
}

#[test]
fn a_mutation_that_assists_takes_a_batch_and_gives_back_what_is_left() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    assert_eq!(core.queue.assist(|_| unreachable!("there is no batch")), None);
    // One of each window.
    core.queue.push(grey_objects(&heap, 5 * 64).into_iter().step_by(64).collect());
    let traced = core.queue.assist(|batch| {
        assert!(core.queue.is_assisted());
        let mut tracer = tracer_with(core, batch);
        trace_some(&core.queue, &mut tracer, 2 * GRANULE as u64, || false)
    });
    assert_eq!(traced, Some(2 * GRANULE as u64));
    assert!(!core.queue.is_assisted());
    assert_eq!(core.queue.take().map(|left| left.len()), Some(3));
}

/// What is shared already comes first.
#[test]
fn nothing_is_shared_while_there_is_work_in_the_queue() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    core.queue.push(grey_objects(&heap, 1));
    Marking::new(1).drain(&core.queue, &core.pace, &mut tracer_with(core, grey_objects(&heap, 2 * UNIT)));
    assert_eq!(core.queue.pushed(), 1, "this test's own");
}

/// What barriers put there meanwhile is traced with what is at hand, and not batch by batch behind it.
#[test]
fn a_marker_takes_in_what_others_have_put_in_the_queue() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let grey = grey_objects(&heap, 2 * UNIT);
    grey[..30].chunks(10).for_each(|batch| core.queue.push(batch.to_vec()));
    let looks = Cell::new(0);
    let look = |_| {
        assert_eq!(core.queue.has_several(), looks.get() == 0, "one is left for others");
        looks.set(looks.get() + 1);
    };
    let mut tracer = tracer_with(core, grey[30..].to_vec());
    Marking::new(1).drain_and_call(look, &mut Pending::default(), &core.queue, &core.pace, &mut tracer);
    assert!(looks.get() > 1, "one was left");
    assert!(core.queue.is_empty());
    assert_eq!(core.pace.traced(), 2 * SPAN_BYTES as u64, "and all is traced");
}

/// A mutation takes in as much at the end of a piece as it has time for, and leaves the rest for the next one.
#[test]
fn a_piece_ends_with_few_of_the_batches_that_others_have_left() {
    for (pieces, most) in [(Pieces::SHORT, 2), (Pieces::LONG, 16)] {
        let heap = Heap::builder().processors(1).build().unwrap();
        let core = heap.core();
        let grey = grey_objects(&heap, 200);
        let mut pending = Pending::default();
        let mut piece = |bytes: u64| {
            let mut tracer = tracer_with(core, Vec::new());
            trace_pieces(&core.queue, &mut pending, &mut tracer, bytes, pieces, || true)
        };
        grey.chunks(10).for_each(|batch| core.queue.push(batch.to_vec()));
        let mut left = 20;
        while left > most + 1 {
            assert_eq!(piece(0), 0);
            left -= most;
            let batches: Vec<_> = std::iter::from_fn(|| core.queue.take()).collect();
            assert_eq!(batches.len(), left);
            batches.into_iter().for_each(|batch| core.queue.push(batch));
        }
        piece(0);
        assert!(!core.queue.has_several() && !core.queue.is_empty(), "one is left for others");
        assert_eq!(piece(u64::MAX), 200 * GRANULE as u64, "nothing is lost");
    }
}

/// A marker that has run out of work does not go before all have: others may share theirs.
#[test]
fn a_marker_waits_for_the_others() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let marking = Marking::new(2);
    let (first, later) = (grey_objects(&heap, 100), grey_objects(&heap, 1));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| marking.drain(&core.queue, &core.pace, &mut tracer_with(core, first)));
        let until_it_waits = || {
            while marking.idle.load(Ordering::SeqCst) == 0 || !core.queue.is_empty() {
                assert!(!waiter.is_finished(), "the other marker has not ended");
                thread::yield_now();
            }
        };
        until_it_waits();
        assert_eq!(core.queue.pushed(), 0);
        core.queue.push(later);
        until_it_waits();
        marking.drain(&core.queue, &core.pace, &mut tracer_with(core, Vec::new()));
    });
    assert!(core.queue.is_empty());
}

#[derive(Trace)]
struct Node<'gc>(Option<Gc<'gc, Node<'gc>>>, u64);

/// What an assist does not come to is in the queue, and what it has traced is counted.
#[test]
fn an_assist_ends_with_its_budget() {
    /// As large as a window.
    #[derive(Trace)]
    struct Large<'gc>(Option<Gc<'gc, Large<'gc>>>, [u64; 127]);
    const BYTES: u64 = WINDOW_BYTES as u64;
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let list = heap.mutate(|mu| {
        let end = mu.alloc(Large(None, [0; 127]));
        let head = (1..10).fold(end, |next, number| mu.alloc(Large(Some(next), [number; 127])));
        Grey(head.start())
    });
    // In the colour of the first cycle: the list is white.
    let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
    tracer.add_grey(vec![list]);
    assert_eq!(trace_some(&core.queue, &mut tracer, 0, || false), 0);
    assert_eq!(core.queue.pushed(), 1, "it is given back as it is");
    for (budget, traced) in [(1, BYTES), (BYTES, BYTES), (BYTES + 1, 2 * BYTES), (u64::MAX, 6 * BYTES)] {
        tracer.add_grey(core.queue.take().expect("the rest"));
        assert!(core.queue.is_empty());
        assert_eq!(trace_some(&core.queue, &mut tracer, budget, || false), traced);
        assert!(tracer.take_grey().is_empty());
    }
    assert!(core.queue.is_empty());
    assert_eq!(tracer.scanned_bytes(), 10 * BYTES);
}

/// What is left goes to the queue in batches that have the room for it, which is used again, and the tracer keeps its own.
#[test]
fn what_an_assist_leaves_is_more_than_a_batch() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let grey = grey_objects(&heap, 2 * ROOM + 5);
    let mut left: Vec<_> = grey.iter().map(|&Grey(object)| object).collect();
    let mut tracer = tracer_with(core, grey);
    assert_eq!(trace_some(&core.queue, &mut tracer, 0, || false), 0);
    let stack = tracer.take_grey();
    assert!(stack.is_empty() && stack.capacity() >= 2 * ROOM);
    let mut taken = Vec::new();
    for expected in [ROOM, ROOM, 5] {
        let mut batch = core.queue.take().unwrap();
        assert_eq!((batch.len(), batch.capacity()), (expected, ROOM));
        taken.extend(batch.drain(..).map(|Grey(object)| object));
        let room = batch.as_ptr();
        core.queue.keep(batch);
        let again = core.queue.empty_batch();
        assert_eq!((again.as_ptr(), again.len()), (room, 0));
        core.queue.keep(again);
    }
    assert!(core.queue.take().is_none());
    left.sort();
    taken.sort();
    assert_eq!(left, taken);
    // What is kept between cycles is bounded.
    (0..100).for_each(|_| core.queue.keep(Vec::with_capacity(ROOM)));
    core.queue.trim();
    assert_eq!(core.queue.spare_batches(), 16);
}

/// Each of the pointers of a part may lead to a mark byte that is in no cache.
#[test]
fn an_assist_traces_a_few_parts_of_a_large_slice_at_most() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    heap.mutate(|mu| {
        let slice = mu.alloc_slice_with(4 * SPAN_BYTES / size_of::<usize>(), |_| GcCell::<u64>::null());
        let parts = 5 * SPAN_BYTES / PART_BYTES;
        core.queue.push(vec![Grey(slice.start())]);
        let most = MOST_PARTS as usize;
        assert!(parts.is_multiple_of(most));
        for left in (0..parts / most).rev() {
            let mut tracer = tracer_with(core, core.queue.take().expect("the rest"));
            assert_eq!(trace_some(&core.queue, &mut tracer, u64::MAX, || false), (most * PART_BYTES) as u64);
            assert_eq!(core.queue.is_empty(), left == 0);
        }
    });
}

/// It asks after each part whether it is to stop; so does a mutation that takes the steps of the cycle, which goes on with the rest later.
#[test]
fn a_mutation_may_stop_after_each_part() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    heap.mutate(|mu| {
        let slice = mu.alloc_slice_with(4 * SPAN_BYTES / size_of::<usize>(), |_| GcCell::<u64>::null());
        let mut tracer = tracer_with(core, vec![Grey(slice.start())]);
        assert_eq!(trace_some(&core.queue, &mut tracer, u64::MAX, || true), PART_BYTES as u64);
        assert!(!core.queue.is_empty());
        while core.queue.take().is_some() {}
        core.queue.push(vec![Grey(slice.start())]);
        let mut pending = Pending::default();
        let mut piece = |is_long: bool| {
            let mut tracer = tracer_with(core, Vec::new());
            trace_pieces(&core.queue, &mut pending, &mut tracer, u64::MAX, Pieces::LONG, || is_long)
        };
        assert_eq!([true, true].map(&mut piece), [PART_BYTES as u64; 2]);
        assert_eq!(piece(false), (5 * SPAN_BYTES - 2 * PART_BYTES) as u64, "the rest");
    });
}

/// That it has passed by a lock puts the end of the mark off, as with a marker.
#[test]
fn an_assist_tells_that_it_has_passed_by() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    heap.mutate(|mu| {
        let lock = mu.alloc(GcMutex::new(Node(None, 0)));
        let guard = lock.lock(mu);
        trace_some(&core.queue, &mut tracer_with(core, vec![Grey(lock.start())]), u64::MAX, || false);
        assert!(core.queue.take_passed_by());
        drop(guard);
        trace_some(&core.queue, &mut tracer_with(core, vec![Grey(lock.start())]), u64::MAX, || false);
        assert!(!core.queue.take_passed_by());
    });
}

/// Each element of a large slice is traced once, a unit at a time: also those that lie across two units.
#[test]
fn a_large_slice_is_traced_in_parts() {
    #[derive(Trace)]
    struct Odd<'gc>(u64, Option<Gc<'gc, Node<'gc>>>, u64);
    const LENGTH: usize = 40_000;
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    heap.mutate(|mu| {
        let nodes: Vec<_> = (0..LENGTH as u64).map(|number| mu.alloc(Node(None, number))).collect();
        let slice = mu.alloc_slice_with(LENGTH, |index| Odd(0, Some(nodes[index]), 0));
        let units = (LENGTH * size_of::<Odd<'_>>() + size_of::<usize>()).div_ceil(SPAN_BYTES);
        assert!(units > 8 && !SPAN_BYTES.is_multiple_of(size_of::<Odd<'_>>()));
        let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
        tracer.scan(Grey(slice.start()));
        let mut reported = std::collections::HashSet::new();
        let mut parts = 0;
        let mut most = 0;
        loop {
            let grey = tracer.take_grey();
            let in_slice =
                |Grey(start): Grey| slice.start().addr().get().abs_diff(start.addr().get()) < units * SPAN_BYTES;
            let (later, children): (Vec<_>, Vec<_>) =
                grey.into_iter().partition(|&grey| slice.start() < grey.0 && in_slice(grey));
            most = most.max(children.len());
            for Grey(child) in children {
                assert!(reported.insert(child), "white, hence reported once");
            }
            tracer.add_grey(later);
            let Some(part) = tracer.pop() else { break };
            assert_eq!(tracer.scanned_bytes(), (parts + 1) * PART_BYTES as u64);
            parts += 1;
            tracer.scan(part);
        }
        assert_eq!(parts + 1, (units * SPAN_BYTES / PART_BYTES) as u64);
        assert!(nodes.iter().all(|node| reported.contains(&node.start())));
        assert!(most <= PART_BYTES / size_of::<Odd<'_>>() + 1, "{most}");
    });
}
