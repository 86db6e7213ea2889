//! Idle helpers come where there is room, do their share, and leave when there is none any more.

use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::thread;

use super::cycle::Cycle;
use super::mark::Tracer;
use super::mark::sharing::LOOK_AFTER;
use super::mark::sharing::Marking;
use super::queue::Grey;
use super::room::{Room, most_idle_helpers, most_idle_helpers_on};
use super::workers::{Helper, Workers};
use crate::processor::phase::colour_of_cycle;
use crate::sync::Mutex;
use crate::{Gc, GcCell, Heap, Root, Trace};

/// Does something when it is traced. Those of different numbers lie in different units: they are too large for quarters.
pub(super) struct Gate<const N: usize>(
    pub(super) Open,
    #[expect(dead_code, reason = "it takes up room")] pub(super) [u64; 256],
);

// SAFETY: it holds no pointers; it says that it is to be traced, so that it hears of it.
unsafe impl<const N: usize> Trace for Gate<N> {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, _: &mut Tracer<'_>) {
        (self.0)();
    }
}

#[derive(Trace)]
struct Fan<'gc> {
    second: Option<Gc<'gc, Gate<2>>>,
    others: Vec<Gc<'gc, GcCell<'gc, u64>>>,
    first: Option<Gc<'gc, Gate<1>>>,
    before: Vec<Gc<'gc, GcCell<'gc, u64>>>,
}

/// Enough that a marker looks several times, and shares.
const MANY: usize = 20 << 10;

pub(super) type Open = Box<dyn Fn() + Send + Sync>;

/// A root to two gates and many objects, which a marker goes through from the last field to the first. The first gate is among the first
/// that it gives away, the second one the last that it has.
fn fan(heap: &Heap, [first, second]: [Option<Open>; 2]) -> Root<Fan<'static>> {
    heap.mutate(|mu| {
        let first = first.map(|gate| mu.alloc(Gate(gate, [0; 256])));
        let second = second.map(|gate| mu.alloc(Gate(gate, [0; 256])));
        let cells = |count: usize| (0..count).map(|_| mu.alloc(GcCell::null())).collect();
        mu.root(mu.alloc(Fan { second, others: cells(MANY), first, before: cells(MANY / 8) }))
    })
}

/// Neither of two objects is traced before somebody traces the other, so one marker alone would never end.
#[test]
fn an_idle_helper_marks_beside_the_collector() {
    let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
    let both = std::sync::Arc::new(Barrier::new(2));
    let gate = || {
        let both = std::sync::Arc::clone(&both);
        Some(Box::new(move || _ = both.wait()) as Open)
    };
    let root = fan(&heap, [gate(), gate()]);
    let workers = Workers::start(0, 1, heap.core().id);
    for _ in 0..3 {
        let mut cycle = Cycle::begin(heap.core(), &workers);
        cycle.take_the_snapshot();
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        let report = heap.stats().last_cycle.expect("one has ended");
        assert_eq!(report.markers, 2);
    }
    heap.mutate(|mu| assert_eq!(root.get(mu).others.len(), MANY));
}

#[test]
fn there_are_no_more_markers_than_cores() {
    assert_eq!(
        [(8, 1), (8, 2), (8, 8), (1, 2)].map(|(cores, markers)| most_idle_helpers_on(cores, markers)),
        [7, 6, 0, 0]
    );
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!([1, 1000].map(most_idle_helpers), [cores - 1, cores.saturating_sub(1000)]);
    assert!(!Workers::none().has_idle());
}

/// One that sleeps is called before another one is started.
#[test]
fn idle_helpers_are_started_when_none_sleeps() {
    let workers = Workers::start(0, 2, 1);
    let (called, was_called) = channel();
    let (leave, may_leave) = channel::<()>();
    let (called, may_leave) = (Mutex::new(called), Mutex::new(may_leave));
    let help = |_| {
        called.lock().send(()).unwrap();
        may_leave.lock().recv().unwrap();
    };
    assert_eq!(workers.started_idle(), 0);
    workers.with_helpers(&help, || {
        workers.call_idle();
        was_called.recv().unwrap();
        workers.call_idle();
        assert_eq!(workers.started_idle(), 2, "the first one is at work");
        assert!(!workers.has_idle());
        was_called.recv().unwrap();
        workers.call_idle();
        leave.send(()).unwrap();
        while !workers.has_idle() {
            thread::yield_now();
        }
        leave.send(()).unwrap();
    });
    let workers = Workers::start(0, 2, 2);
    let help = |_| called.lock().send(()).unwrap();
    workers.with_helpers(&help, || {
        for _ in 0..2 {
            workers.call_idle();
            was_called.recv().unwrap();
            // Until it sleeps again.
            while workers.asleep() == 0 {
                thread::yield_now();
            }
        }
    });
    assert_eq!(workers.started_idle(), 1);
}

/// With as many mutations as may run there is no room, with fewer there is, for one more than mark already.
#[test]
fn idle_helpers_are_called_for_processors_that_are_not_in_use() {
    let heap = Heap::builder().processors(3).build().unwrap();
    let workers = Workers::start(0, 2, heap.core().id);
    let room = Room::new(&heap.core().processors, &workers);
    let (called, was_called) = channel();
    let called = Mutex::new(called);
    let help = |helper| called.lock().send(helper).unwrap();
    workers.with_helpers(&help, || {
        assert!(workers.has_idle());
        heap.mutate(|_| {
            assert!(!room.is_exceeded(2) && room.is_exceeded(3));
            // Looks with room, one without, and more with room: too few in a row.
            for markers in [1, 1, 1, 2, 2, 2, 2, 1, 1, 1] {
                room.call(markers);
                assert!(workers.has_idle(), "there was no room, or not long enough");
            }
            room.call(1);
            assert_eq!(was_called.recv().unwrap(), Helper::Idle);
        });
        assert!(!room.is_exceeded(3) && room.is_exceeded(4));
        // It goes back to sleep, and can be called again.
        while !workers.has_idle() {
            thread::yield_now();
        }
        (0..3).for_each(|_| room.call(2));
        assert!(workers.has_idle());
        room.call(2);
        assert_eq!(was_called.recv().unwrap(), Helper::Idle);
    });
    assert!(was_called.try_recv().is_err());
}

/// With more processors than cores it is the cores that count.
#[test]
fn there_is_no_more_room_than_there_are_cores() {
    let heap = Heap::builder().processors(4).build().unwrap();
    // As if there were two.
    let workers = Workers::start(0, 1, heap.core().id);
    let room = Room::new(&heap.core().processors, &workers);
    workers.with_helpers(&|_| panic!("there is no room"), || {
        heap.mutate(|_| {
            assert!(room.is_exceeded(2) && !room.is_exceeded(1));
            (0..8).for_each(|_| room.call(1));
        });
    });
    assert_eq!(workers.started_idle(), 0);
}

/// Who is called and does not come in time is not waited for, and runs no later job uncalled.
#[test]
fn a_call_does_not_outlive_its_job() {
    let workers = Workers::start(0, 2, 1);
    let runs = Mutex::new(0);
    for _ in 0..1000 {
        let help = |helper| {
            assert_eq!(helper, Helper::Idle);
            *runs.lock() += 1;
        };
        workers.with_helpers(&help, || workers.call_idle());
        let before = *runs.lock();
        // There is no job.
        workers.call_idle();
        workers.with_helpers(&|_| panic!("nobody has called"), || ());
        assert_eq!(*runs.lock(), before);
    }
    assert!(*runs.lock() <= 1000);
    assert!(workers.has_idle());
}

/// With room to the end it traces all, and tells of each byte once.
#[test]
fn an_idle_helper_tells_the_pacer_what_it_has_traced() {
    let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
    let core = heap.core();
    let root = fan(&heap, [None, None]);
    let grey = heap.mutate(|mu| root.get(mu).others.iter().map(|other| Grey(other.start())).collect());
    core.queue.push(grey);
    let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
    Marking::new(0).drain_while(|_| true, &core.queue, &core.pace, &mut tracer);
    assert!(core.queue.is_empty());
    let bytes = (MANY * crate::memory::GRANULE) as u64;
    assert_eq!((tracer.scanned_bytes(), core.pace.traced()), (bytes, bytes));
}

/// Threads are gone when their workers are.
#[test]
fn helpers_end_with_their_workers() {
    let workers = Workers::start(1, 1, 1);
    workers.with_helpers(&|_| (), || workers.call_idle());
    let watch = workers.watch();
    assert!(watch.strong_count() >= 2);
    drop(workers);
    assert_eq!(watch.strong_count(), 0);
}

/// A mutation begins while an idle helper marks: it goes, and leaves what it has not come to in the queue.
#[test]
fn an_idle_helper_leaves_when_its_processor_is_wanted() {
    let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
    let core = heap.core();
    let workers = Workers::start(0, 1, core.id);
    let marking = Marking::new(1);
    let room = Room::new(&core.processors, &workers);
    let has_room = |markers| !room.is_exceeded(markers);
    let (begin, may_begin) = channel();
    let (has_begun, begun) = channel();
    let (end, may_end) = channel::<()>();
    let (begin, begun) = (Mutex::new(begin), Mutex::new(begun));
    let gate = Box::new(move || {
        begin.lock().send(()).unwrap();
        begun.lock().recv().unwrap();
    });
    let root = fan(&heap, [Some(gate), None]);
    let grey = heap.mutate(|mu| {
        let fan = root.get(mu);
        let starts = fan.others.iter().map(|other| other.start());
        // The gate is the first that it comes to.
        starts.chain(fan.first.map(|gate| gate.start())).map(Grey).collect::<Vec<_>>()
    });
    let (all, gate) = (grey.len(), grey[grey.len() - 1].0);
    core.queue.push(grey);
    let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
    thread::scope(|scope| {
        let heap = &heap;
        scope.spawn(move || {
            may_begin.recv().unwrap();
            heap.mutate(|_| {
                has_begun.send(()).unwrap();
                may_end.recv().unwrap();
            });
        });
        marking.drain_while(has_room, &core.queue, &core.pace, &mut tracer);
        end.send(()).unwrap();
    });
    assert_eq!(marking.most(), 2);
    let left: usize = std::iter::from_fn(|| core.queue.take()).map(|batch| batch.len()).sum();
    let bytes = core.pace.traced();
    assert!(left > 0 && bytes > 0);
    let at_first_look = LOOK_AFTER..=LOOK_AFTER + crate::memory::GRANULE as u64;
    assert!(at_first_look.contains(&bytes), "it went after {bytes} bytes");
    let of_gate = core.memory.region.span_of(gate).slot_bytes() as u64;
    let slot_bytes = (tracer.scanned_bytes() - of_gate) / (all - left - 1) as u64;
    assert_eq!(tracer.scanned_bytes(), bytes, "all is told of");
    assert_eq!(slot_bytes, crate::memory::GRANULE as u64, "each is traced, or in the queue");
    // There is no room from the beginning.
    core.queue.push(vec![Grey(heap.mutate(|mu| root.get(mu).start()))]);
    let marking = Marking::new(2);
    marking.drain_while(has_room, &core.queue, &core.pace, &mut tracer);
    assert!(!core.queue.is_empty());
    assert_eq!(core.pace.traced(), bytes);
    core.queue.take();
}
