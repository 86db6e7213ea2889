//! Large cycles whose mark is left to mutations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::assist::{SHORT_LOOK, SHORTEST_LOOK};
use super::cycle;
use super::leaving::Kind;
use super::mark::window::WINDOW_BYTES;
use super::pacer::MOST_TRACED;
use super::relay::MOST_UNITS;
use super::relay_tests::{
    HOUR, NODES, Node, allocate_until, allocate_until_told, assert_whole, begin_far, beside, cycles, heap, list,
    run_the_rest,
};
use super::report::CycleCause;
use super::steps::Due;
use super::workers::Workers;
use crate::processor::phase::Mode;
use crate::{Heap, Mutator, Root};

/// So long that whatever a test allocates is little.
const REST: Duration = Duration::from_secs(60);

/// Begins a cycle that is not small, before which mutations have rested.
fn begin_large(heap: &Heap) {
    heap.core().relay.pretend_rest(REST);
    begin_far(heap);
    heap.core().pace.earn(MOST_TRACED + 1);
}

fn kind(heap: &Heap) -> Kind {
    heap.core().relay.begin(heap.core(), || None).unwrap().kind(heap.core())
}

/// Does what the collector's thread does when it leaves the mark.
fn leave(heap: &Heap) {
    assert_eq!(kind(heap), Kind::Calm);
    let mut in_progress = heap.core().relay.begin(heap.core(), || None).unwrap();
    assert!(in_progress.leave_mark_for(heap.core(), Kind::Calm, Duration::ZERO));
    let units = heap.core().memory.frontier();
    assert!(units != 0 && in_progress.steps().pending.has_room_for(units), "who traces has not to wait for room");
}

#[test]
fn mutations_trace_the_mark_of_a_large_cycle_that_is_left_to_them() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| {
        list(mu);
        mu.root(list(mu))
    });
    begin_large(&heap);
    leave(&heap);
    assert!(allocate_until(&heap, || cycles(core) == 1), "nobody ended the cycle");
    let report = heap.stats().last_cycle.unwrap();
    assert_eq!(report.markers, 0, "no thread but the mutation's has marked");
    assert!(report.assisted_bytes >= NODES * size_of::<Node<'_>>() as u64);
    assert!(heap.stats().freed_objects >= NODES);
    assert!(!core.relay.is_mark_left(), "the next one may be another matter");
    heap.mutate(|mu| assert_whole(mu, &root));
    heap.verify().unwrap();
}

/// They look after two kilobytes, trace for these alone, and have no run that is longer.
#[test]
fn they_trace_little_at_a_time() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_large(&heap);
    leave(&heap);
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        let held = || mu.local().runs.held().into_iter();
        let old: Vec<usize> = held().map(|run| run.unit).collect();
        let mut before = core.pace.traced();
        let mut most_allocated = 0;
        for _ in 0..10 {
            let mut allocated = 0;
            while core.pace.traced() == before {
                mu.alloc([0_u64; 2]);
                allocated += size_of::<[u64; 2]>() as u64;
                // (A run counts when the next one has been looked for.)
                assert!(allocated <= 3 * SHORT_LOOK, "nothing is traced");
                let longest = held().filter(|run| !old.contains(&run.unit)).map(|run| run.end - run.cursor).max();
                assert!(longest.is_none_or(|bytes| bytes < SHORT_LOOK as usize), "{longest:?}");
            }
            let traced = core.pace.traced() - before;
            assert!(traced <= 24 << 10 | WINDOW_BYTES as u64, "{traced} bytes at a time");
            before = core.pace.traced();
            most_allocated = allocated.max(most_allocated);
        }
        assert!(most_allocated >= SHORT_LOOK);
    });
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Who finds somebody at it tries again soon, and not each time.
#[test]
fn one_traces_at_a_time() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_large(&heap);
    leave(&heap);
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        let traced = core.pace.traced();
        let in_progress = core.relay.begin(core, || None).unwrap();
        mu.local().note_assisted();
        mu.local().owe(SHORT_LOOK - 1);
        mu.assist();
        assert_eq!(mu.local().unassisted_bytes(), SHORT_LOOK - 1, "it is not time");
        mu.local().owe(1);
        mu.assist();
        assert_eq!((core.pace.traced(), mu.local().unassisted_bytes()), (traced, SHORT_LOOK / 4 * 3));
        drop(in_progress);
        mu.local().owe(SHORT_LOOK / 4);
        mu.assist();
        assert_eq!(mu.local().unassisted_bytes(), 0);
        assert!(core.pace.traced() > traced);
    });
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Before the collector's thread takes a core from one of them, they do more.
#[test]
fn they_look_more_often_when_it_should_have_ended() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_large(&heap);
    leave(&heap);
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        let (size, goal) = core.pace.size_and_goal();
        core.pace.allocated(goal - size - 1);
        assert_eq!(mu.short_look(), SHORT_LOOK);
        core.pace.allocated(1);
        assert_eq!(mu.short_look(), SHORTEST_LOOK);
        assert!(!core.pace.is_overdue(), "so that it is still theirs");
        let traced = core.pace.traced();
        mu.local().note_assisted();
        mu.local().owe(SHORTEST_LOOK - 1);
        mu.assist();
        assert_eq!(core.pace.traced(), traced, "it is not time");
        mu.local().owe(1);
        mu.assist();
        assert!(core.pace.traced() > traced);
        // And have runs that are no longer than that.
        let held = || mu.local().runs.held().into_iter();
        let old: Vec<usize> = held().map(|run| run.unit).collect();
        let mut longest = 0;
        for _ in 0..1000 {
            mu.alloc([0_u64; 2]);
            let runs = held().filter(|run| !old.contains(&run.unit)).map(|run| run.end - run.cursor);
            longest = runs.max().unwrap_or(0).max(longest);
        }
        assert!((1..SHORTEST_LOOK as usize).contains(&longest), "{longest}");
    });
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Nor does who has hardly allocated yet come to owe more than that.
#[test]
fn who_finds_somebody_at_a_late_mark_owes_no_more_than_it_has_allocated() {
    let heap = heap(2, 2);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_large(&heap);
    while core.relay.begin(core, || None).unwrap().steps().advance(core) == Due::Answers {}
    leave(&heap);
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        let (size, goal) = core.pace.size_and_goal();
        core.pace.allocated(goal - size);
        let in_progress = core.relay.begin(core, || None).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                heap.mutate(|mu| {
                    assert!(mu.traces_the_mark());
                    assert_eq!((mu.short_look(), mu.local().runs.finished().bytes), (SHORTEST_LOOK, 0));
                    for _ in 0..1000 {
                        mu.alloc([0_u64; 2]);
                        assert!(
                            mu.local().unassisted_bytes() <= 2 * SHORTEST_LOOK,
                            "it tries again after each quarter"
                        );
                    }
                });
            });
        });
        drop(in_progress);
    });
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

#[test]
fn no_mark_is_left_to_mutations_that_do_not_keep_up() {
    // Before the first cycle nobody knows how fast they are.
    let first = heap(1, 1);
    begin_far(&first);
    first.core().pace.earn(MOST_TRACED + 1);
    assert_eq!(kind(&first), Kind::Large);
    run_the_rest(first.core());
    // They have allocated too much for the time, before it began or since.
    let hasty = heap(1, 1);
    // The goal is far.
    hasty.core().pace.set_growth_percent(u32::MAX);
    hasty.core().pace.allocated(1 << 40);
    begin_large(&hasty);
    assert_eq!(kind(&hasty), Kind::Large);
    run_the_rest(hasty.core());
    begin_large(&hasty);
    assert_eq!(kind(&hasty), Kind::Calm);
    hasty.core().pace.allocated(1 << 40);
    assert_eq!(kind(&hasty), Kind::Large);
    run_the_rest(hasty.core());
    // There are several markers.
    let many = heap(5, 1);
    begin_large(&many);
    assert_eq!(kind(&many), Kind::Large);
    run_the_rest(many.core());
    // It takes long to look at all units.
    let heap = heap(1, 1);
    let core = heap.core();
    begin_large(&heap);
    assert_eq!(kind(&heap), Kind::Calm);
    let units = MOST_UNITS + 1;
    let start = core.memory.with_free_spans_mut(|free| free.take(units)).unwrap();
    assert_eq!(kind(&heap), Kind::Large);
    core.memory.with_free_spans_mut(|free| free.give_back(start, units));
    run_the_rest(core);
    // The goal is far behind, which is near.
    core.pace.set_growth_percent(1);
    begin_large(&heap);
    assert_eq!(kind(&heap), Kind::Calm);
    core.pace.allocated(1 << 19);
    assert_eq!(kind(&heap), Kind::Large);
    run_the_rest(core);
}

/// Runs a cycle that is not small, before which mutations have rested, as the collector's thread does.
fn run_large(heap: &Heap) {
    heap.core().relay.pretend_rest(REST);
    // So much is expected, and will have been traced.
    heap.core().pace.earn(MOST_TRACED + 1);
    cycle::run(heap.core(), &Workers::none(), CycleCause::Growth);
}

/// Who allocates next to nothing traces nothing: then the collector's thread does, and has the others trace as they do for any mark.
#[test]
fn a_mark_that_was_left_is_taken_back() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    let was_left = AtomicBool::new(false);
    // That thread may find the core free for an instant, and not leave it.
    for _ in 0..1000 {
        let look = |mu: &Mutator<'_>| _ = was_left.fetch_or(mu.traces_the_mark(), Ordering::Relaxed);
        beside(&heap, look, || run_large(&heap));
        assert_eq!(heap.stats().last_cycle.unwrap().markers, 1, "the thread that ran it has not marked");
        assert!(!core.relay.is_mark_left());
        if was_left.load(Ordering::Relaxed) {
            break;
        }
    }
    assert!(was_left.load(Ordering::Relaxed));
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// Nor is it left to who would trace it as it allocates, if somebody waits for that.
#[test]
fn no_mark_is_left_while_somebody_waits() {
    let heap = heap(1, 1);
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    for _ in 0..20 {
        heap.core().control.pretend_awaited();
        let work = |mu: &Mutator<'_>| {
            mu.alloc([0_u64; 2]);
            assert!(!mu.traces_the_mark());
        };
        beside(&heap, work, || run_large(&heap));
        assert_eq!(heap.stats().last_cycle.unwrap().markers, 1);
    }
    heap.mutate(|mu| assert_whole(mu, &root));
}

/// What is weak is for the collector's thread, which is told, and need not look.
#[test]
fn who_has_left_a_mark_is_told_what_mutations_leave() {
    let heap = heap(1, 1);
    let core = heap.core();
    let weak = heap.mutate(|mu| mu.weak_root(mu.alloc(7_u64)));
    begin_large(&heap);
    allocate_until_told(&heap, |in_progress| in_progress.leave_mark_for(heap.core(), Kind::Calm, HOUR));
    assert_eq!((core.memory.marked_cycle(), core.processors.phase().mode()), (0, Mode::Close), "it is to be decided");
    run_the_rest(core);
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
}

/// Then no mark is left to who traces only as it allocates.
#[test]
fn it_is_known_that_somebody_waits() {
    let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
    let core = heap.core();
    assert!(!core.control.is_awaited());
    thread::scope(|scope| {
        // Held up for as long as this mutation does not answer the second handshake.
        heap.mutate(|_| {
            scope.spawn(|| heap.collect());
            while !core.control.is_awaited() {
                thread::yield_now();
            }
        });
    });
    assert!(!core.control.is_awaited());
}
