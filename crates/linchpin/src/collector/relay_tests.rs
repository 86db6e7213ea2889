//! Cycles whose steps mutations take, with no collector's thread, or beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::cycle;
use super::pacer::MOST_TRACED;
use super::relay::{self, InProgress, MOST_UNITS};
use super::report::CycleCause;
use super::workers::Workers;
use crate::heap::Core;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{Gc, GcCell, Heap, Mutator, Root, Trace};

#[derive(Trace)]
pub(super) struct Node<'gc> {
    number: u64,
    next: Option<Gc<'gc, Node<'gc>>>,
}

pub(super) const NODES: u64 = 20_000;

/// No test takes so long.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Of so many nodes, the highest number first.
pub(super) fn list<'gc>(mu: &Mutator<'gc>) -> Gc<'gc, Node<'gc>> {
    let end = mu.alloc(Node { number: 0, next: None });
    (1..NODES).fold(end, |next, number| mu.alloc(Node { number, next: Some(next) }))
}

pub(super) fn assert_whole(mu: &Mutator<'_>, root: &Root<Node<'static>>) {
    let numbers = std::iter::successors(Some(root.get(mu)), |node| node.next).map(|node| node.number);
    assert!(numbers.eq((0..NODES).rev()));
}

/// A heap that begins no cycle by growing, on a machine with so many cores.
pub(super) fn heap(processors: usize, cores: usize) -> Heap {
    let heap = Heap::builder().processors(processors).growth_percent(100_000).build().unwrap();
    heap.core().relay.pretend_cores(cores);
    heap
}

/// Begins a cycle that nobody is at, and which waits for a mutation to answer. Its goal is near, the next one's far.
fn begin(heap: &Heap) {
    let core = heap.core();
    core.pace.set_growth_percent(1);
    begin_far(heap);
    core.pace.set_growth_percent(100_000);
}

/// The same, with a goal that is far.
pub(super) fn begin_far(heap: &Heap) {
    let core = heap.core();
    heap.mutate(|_| core.relay.begin(core, || Some(CycleCause::Growth)).unwrap().steps().advance(core));
    assert_eq!(core.processors.phase().mode(), Mode::Arm);
}

/// Has mutations allocate what is garbage at once, until that is so; gives whether it ever was.
pub(super) fn allocate_until(heap: &Heap, is_so: impl Fn() -> bool) -> bool {
    (0..300).any(|_| {
        heap.mutate(|mu| (0..2048_u64).for_each(|number| _ = mu.alloc([number; 2])));
        is_so()
    })
}

/// Has a thread that is in a mutation, but for moments, allocate and call `work` until `run`, on this one, has ended.
pub(super) fn beside(heap: &Heap, work: impl Fn(&Mutator<'_>) + Send, run: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let (begun, has_begun) = channel();
    thread::scope(|scope| {
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                heap.mutate(|mu| {
                    mu.alloc(0_u64);
                    _ = begun.send(());
                    // One mutation for the whole mark: the core is in use whenever somebody looks.
                    while mu.mode() == Mode::Mark && !is_over.load(Ordering::Relaxed) {
                        work(mu);
                        mu.safepoint();
                    }
                });
            }
        });
        has_begun.recv().unwrap();
        run();
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Has mutations allocate until a thread has been told that it is to go on with a cycle, which it has left as `leave` does.
pub(super) fn allocate_until_told(heap: &Heap, leave: impl FnOnce(&mut InProgress<'_>) -> bool + Send) {
    let core = heap.core();
    let is_told = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(leave(&mut core.relay.begin(core, || None).unwrap()));
            is_told.store(true, Ordering::Relaxed);
        });
        while !is_told.load(Ordering::Relaxed) {
            heap.mutate(|mu| (0..2048_u64).for_each(|number| _ = mu.alloc([number; 2])));
        }
    });
}

/// Does what the collector's thread would.
pub(super) fn run_the_rest(core: &Core) {
    cycle::run(core, &Workers::none(), CycleCause::Growth);
}

pub(super) fn cycles(core: &Core) -> u64 {
    if core.memory.is_sweep_pending() { 0 } else { core.memory.marked_cycle() }
}

#[test]
fn mutations_take_a_cycle_to_its_end() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| {
        list(mu);
        mu.root(list(mu))
    });
    for number in 1..4 {
        let freed = heap.stats().freed_objects;
        begin(&heap);
        assert!(allocate_until(&heap, || cycles(core) == number), "nobody ended the cycle");
        let report = heap.stats().last_cycle.unwrap();
        assert_eq!((report.cycle, report.markers), (number, 0), "no thread but the mutation's has marked");
        assert!(report.assisted_bytes >= NODES * size_of::<Node<'_>>() as u64);
        assert!(heap.stats().freed_objects >= freed + NODES);
    }
    heap.mutate(|mu| assert_whole(mu, &root));
    heap.verify().unwrap();
}

/// What the barrier has noted comes up in a closing round, which is not the last then.
#[test]
fn what_is_moved_meanwhile_is_kept() {
    #[derive(Trace)]
    struct Pair<'gc>([GcCell<'gc, Arc<u64>>; 2]);

    let heap = heap(1, 1);
    let core = heap.core();
    let witness = Arc::new(7);
    let root: Root<Pair<'static>> = heap.mutate(|mu| {
        let content = mu.alloc(Arc::clone(&witness));
        mu.root(mu.alloc(Pair([GcCell::new(content), GcCell::null()])))
    });
    for _ in 0..8 {
        begin(&heap);
        let target = core.memory.marked_cycle() + 1;
        let is_ended = (0..300).any(|turn| {
            heap.mutate(|mu| {
                let Pair(cells) = &*root.get(mu);
                let moved = cells[turn % 2].swap(mu, None);
                (0..512_u64).for_each(|number| _ = mu.alloc([number; 2]));
                cells[(turn + 1) % 2].store(mu, moved);
                // A value with a `Drop` is all there is to sweep but these: that is for the collector.
            });
            core.memory.marked_cycle() == target && heap.mutate(|mu| mu.mode() == Mode::Off)
        });
        assert!(is_ended, "the mark did not end");
        run_the_rest(core);
        assert_eq!((core.memory.marked_cycle(), Arc::strong_count(&witness)), (target, 2), "it was dropped");
        // In whichever of the two it is, it goes back to the first.
        heap.mutate(|mu| {
            let Pair(cells) = &*root.get(mu);
            let content = cells.iter().find_map(|cell| cell.swap(mu, None)).unwrap();
            assert_eq!(**content, 7);
            cells[0].store(mu, content);
        });
    }
    heap.verify().unwrap();
}

#[test]
fn who_allocates_beyond_the_trigger_begins_the_cycle() {
    for (cores, traced, begins) in [(1, 0, true), (2, 0, false), (1, MOST_TRACED + 1, false)] {
        let heap = heap(1, cores);
        let core = heap.core();
        core.pace.earn(traced);
        heap.mutate(|mu| {
            relay::begin(core);
            assert_eq!(core.processors.phase().mode(), Mode::Off, "none is wanted");
            core.control.want_without_a_thread();
            relay::begin(core);
            assert_eq!(core.processors.phase().mode() == Mode::Arm, begins, "{cores} cores, {traced} bytes");
            assert_eq!(mu.mode(), Mode::Off, "it has not answered yet");
        });
        if begins {
            assert!(allocate_until(&heap, || cycles(core) == 1));
            assert_eq!(core.control.cycles(), 1, "those who wait for one are told");
        }
    }
}

/// Who has asked for a cycle may have found somebody else at it, and not begun it: then the next one who would ask does.
#[test]
fn a_cycle_that_is_asked_for_already_is_begun() {
    let heap = heap(1, 1);
    let core = heap.core();
    core.control.want_without_a_thread();
    core.control.growth_asked.store(true, crate::sync::Ordering::Relaxed);
    heap.mutate(|_| {
        core.control.ask_for_growth(core).unwrap_or_else(|refused| refused.panic());
        assert_eq!(core.processors.phase().mode(), Mode::Arm);
    });
    run_the_rest(core);
    assert_eq!(cycles(core), 1);
}

/// Who asks for a cycle while mutations run one waits for that, and for its own, which the collector's thread runs.
#[test]
fn a_cycle_is_asked_for_while_mutations_run_one() {
    let heap = heap(1, 1);
    let core = heap.core();
    begin(&heap);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.collect();
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            heap.mutate(|mu| (0..2048_u64).for_each(|number| _ = mu.alloc([number; 2])));
        }
    });
    assert!(core.memory.marked_cycle() >= 2);
    heap.verify().unwrap();
}

/// With a core free mutations answer, and take no step.
#[test]
fn a_cycle_is_left_alone_where_a_core_is_free() {
    let heap = heap(2, 2);
    let core = heap.core();
    begin_far(&heap);
    assert!(!allocate_until(&heap, || core.processors.phase().mode() != Mode::Arm));
    run_the_rest(core);
    assert_eq!(cycles(core), 1);
}

/// But if the collector's thread has not got there by the goal, or soon after, they go on themselves.
#[test]
fn a_cycle_that_is_overdue_is_not_left_alone() {
    let heap = heap(2, 2);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin(&heap);
    assert!(allocate_until(&heap, || cycles(core) == 1), "nobody ended the cycle");
    assert_eq!(heap.stats().last_cycle.unwrap().markers, 0, "no thread but the mutation's has marked");
    core.control.want_without_a_thread();
    heap.mutate(|_| {
        assert!(!relay::begin(core), "the next goal is far");
        core.pace.set_growth_percent(0);
        assert!(relay::begin(core));
    });
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// A thread takes a while to start.
#[test]
fn the_collectors_thread_is_there_before_it_is_wanted() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let allocate = |bytes: usize| {
        heap.mutate(|mu| (0..bytes / 16).for_each(|_| _ = mu.alloc([0_u64; 2])));
        core.control.state.lock().thread.is_some()
    };
    assert!(!allocate(900 << 10), "a quarter of what may be allocated before the first cycle is 1 MiB");
    assert!(allocate(300 << 10));
    assert_eq!(core.memory.marked_cycle(), 0);
}

/// Its mark is not for mutations, but they trace what they find in the queue, and take all steps around that.
#[test]
fn mutations_end_a_cycle_that_is_not_small() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| {
        list(mu);
        mu.root(list(mu))
    });
    begin(&heap);
    core.pace.assisted(MOST_TRACED + 1);
    assert!(allocate_until(&heap, || cycles(core) == 1), "nobody ended the cycle");
    let report = heap.stats().last_cycle.unwrap();
    assert_eq!((report.cycle, report.markers), (1, 0), "no thread but the mutation's has marked");
    assert!(heap.stats().freed_objects >= NODES);
    heap.mutate(|mu| assert_whole(mu, &root));
    heap.verify().unwrap();
}

/// Where mutations owe nothing, they take it to the mark, and no further.
#[test]
fn the_mark_of_a_cycle_that_is_not_small_is_the_collectors() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_far(&heap);
    core.pace.earn(MOST_TRACED + 1);
    assert!(!allocate_until(&heap, || core.processors.phase().mode() == Mode::Close));
    assert_eq!((core.processors.phase().mode(), core.pace.traced()), (Mode::Mark, MOST_TRACED + 1));
    assert!(!core.queue.is_empty(), "the roots are there");
    run_the_rest(core);
    assert_eq!(cycles(core), 1);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Nor is more looked through than takes a moment.
#[test]
fn a_cycle_of_a_large_heap_is_left_alone() {
    let heap = heap(2, 1);
    let core = heap.core();
    // As if a large object had them; nobody touches them.
    let units = MOST_UNITS + 1;
    let start = core.memory.with_free_spans_mut(|free| free.take(units)).unwrap();
    core.control.want_without_a_thread();
    assert!(!heap.mutate(|_| relay::begin(core)), "nor begun");
    begin(&heap);
    assert!(!allocate_until(&heap, || core.processors.phase().mode() != Mode::Arm));
    core.memory.with_free_spans_mut(|free| free.give_back(start, units));
    run_the_rest(core);
    assert_eq!(cycles(core), 1);
}

/// Up to that many are no matter, whatever they are in use for.
#[test]
fn mutations_end_a_cycle_of_a_heap_that_is_not_too_large() {
    let heap = heap(2, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    let units = MOST_UNITS - 64;
    let start = core.memory.with_free_spans_mut(|free| free.take(units)).unwrap();
    core.control.want_without_a_thread();
    assert!(heap.mutate(|_| relay::begin(core)));
    assert!(allocate_until(&heap, || cycles(core) == 1), "nobody ended the cycle");
    assert!((MOST_UNITS - 64..=MOST_UNITS).contains(&core.memory.frontier()));
    core.memory.with_free_spans_mut(|free| free.give_back(start, units));
    assert_eq!(heap.stats().last_cycle.unwrap().markers, 0);
    heap.mutate(|mu| assert_whole(mu, &root));
    heap.verify().unwrap();
}

/// A weak pointer to what is dead is cleared by the collector's thread; until then the mark has not ended.
#[test]
fn what_is_weak_is_left_to_the_collector() {
    let heap = heap(1, 1);
    let core = heap.core();
    let weak = heap.mutate(|mu| mu.weak_root(mu.alloc(7_u64)));
    begin(&heap);
    assert!(!allocate_until(&heap, || core.memory.marked_cycle() != 0));
    assert_eq!(heap.mutate(|mu| mu.mode()), Mode::Close, "but for the decision, it was taken that far");
    run_the_rest(core);
    assert_eq!(cycles(core), 1);
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
}

#[test]
fn values_are_dropped_by_the_collector() {
    let heap = heap(1, 1);
    let core = heap.core();
    let witness = Arc::new(());
    heap.mutate(|mu| _ = mu.alloc(Arc::clone(&witness)));
    begin(&heap);
    assert!(!allocate_until(&heap, || cycles(core) != 0));
    assert_eq!((core.memory.marked_cycle(), Arc::strong_count(&witness)), (1, 2));
    run_the_rest(core);
    assert_eq!((cycles(core), Arc::strong_count(&witness)), (1, 1));
}

/// Mutations that do not allocate do not trace either. It is the collector's turn then, though no core be free.
#[test]
fn a_cycle_ends_beside_mutations_that_do_not_allocate() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                heap.mutate(|mu| assert_eq!(root.get(mu).number, NODES - 1));
            }
        });
        run_the_rest(core);
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(cycles(core), 1);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// The collector's thread and two mutations hand cycles on to one another.
#[test]
fn all_take_turns() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let core = heap.core();
    core.relay.pretend_cores(1);
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while core.control.cycles() < 60 {
                    let own: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
                    heap.mutate(|mu| assert_whole(mu, &own));
                }
            });
        }
    });
    heap.mutate(|mu| assert_whole(mu, &root));
    heap.verify().unwrap();
}

/// Who verifies the heap waits for the end of a cycle that mutations run.
#[test]
fn the_verifier_waits_for_the_end_of_a_cycle() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin(&heap);
    let is_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.verify().unwrap();
            assert!(is_ended.load(Ordering::Acquire));
        });
        // All steps but the last.
        assert!(allocate_until(&heap, || core.memory.marked_cycle() == 1));
        is_ended.store(true, Ordering::Release);
        assert!(allocate_until(&heap, || cycles(core) == 1));
    });
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Two who verify one after the other, so that there is always one who waits for its turn, do not keep cycles from beginning.
#[test]
fn a_cycle_begins_beside_those_who_verify() {
    let heap = heap(1, 1);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    heap.verify().unwrap();
                }
            });
        }
        (0..3).for_each(|_| heap.collect());
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(heap.core().control.cycles() >= 3);
}

/// A mark is not left to mutations that allocate next to nothing, and so trace nothing: whoever waits in `collect` would wait for them.
#[test]
fn a_mark_is_not_left_to_mutations_that_hardly_trace() {
    for cause in [CycleCause::Asked, CycleCause::Growth] {
        let heap = heap(1, 1);
        let core = heap.core();
        let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
        beside(&heap, |_| (), || cycle::run(core, &Workers::none(), cause));
        let report = heap.stats().last_cycle.unwrap();
        assert_eq!((report.cause, report.markers), (cause, 1), "the thread that ran it has not marked");
        heap.mutate(|mu| assert_whole(mu, &root));
    }
}

/// Who enters answers as long as that leads to another handshake: here to both of the snapshot, and the roots are marked.
#[test]
fn who_enters_answers_what_it_has_asked_for() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin(&heap);
    heap.mutate(|mu| assert_eq!(mu.mode(), Mode::Mark));
    let start = heap.mutate(|mu| root.get(mu).start());
    let mark = core.memory.region.mark(start.addr().get());
    assert_eq!(mark.load(Ordering::Relaxed), colour_of_cycle(1));
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// To walk over roots takes as long as there were many once.
#[test]
fn a_long_walk_over_roots_is_left_to_the_collector() {
    let heap = heap(1, 1);
    let core = heap.core();
    let roots: Vec<Root<u64>> = heap.mutate(|mu| (0..5000_u64).map(|number| mu.root(mu.alloc(number))).collect());
    drop(roots);
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin(&heap);
    assert!(!allocate_until(&heap, || core.pace.traced() != 0 || !core.queue.is_empty()));
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Who waits for what mutations do not do is told when they have come to that, and need not look.
#[test]
fn the_collector_is_told_what_is_left_to_it() {
    let heap = heap(1, 1);
    let core = heap.core();
    let witness = Arc::new(());
    heap.mutate(|mu| _ = mu.alloc(Arc::clone(&witness)));
    begin(&heap);
    allocate_until_told(&heap, |in_progress| in_progress.leave_for(HOUR));
    assert_eq!((core.memory.marked_cycle(), Arc::strong_count(&witness)), (1, 2));
    run_the_rest(core);
    assert_eq!(Arc::strong_count(&witness), 1);
}
