//! What is born while a mark runs: how much that is, and what it counts as.

use std::sync::mpsc::channel;
use std::thread;

use super::assist::LOOK_SOON;
use super::pacer::MUCH_TRACED;
use super::protocol_tests::{mutate_in, stay_while};
use super::relay_tests::{NODES, Node, assert_whole, begin_far, heap, list, run_the_rest};
use super::report::CycleCause;
use super::room_tests::Gate;
use super::steps::Due;
use crate::processor::phase::Mode;
use crate::sync::Mutex;
use crate::{Gc, Heap, Root, Trace};

/// Of a size for which there are no quarters, so that a fresh span is a run of 64 KiB.
type Long = [u64; 256];

const LONG: Long = [0; 256];

/// Has a mutation allocate in a mark of which so much was traced before, to its end. Gives how long a run is to be that is found meanwhile, and the longest
/// that was.
fn runs_of_a_mark(heap: &Heap, traced: u64) -> (usize, usize) {
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_far(heap);
    core.pace.earn(traced);
    let runs = heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        let held = || mu.local().runs.held().into_iter();
        let old: Vec<usize> = held().map(|run| run.unit).collect();
        assert_eq!(mu.longest_run(), usize::MAX, "nothing has been traced");
        while core.pace.traced() == traced {
            mu.alloc(LONG);
        }
        let meanwhile = mu.longest_run();
        let lengths = std::iter::from_fn(|| {
            mu.alloc(LONG);
            let is_marking = core.processors.phase().mode() == Mode::Mark;
            let runs = held().filter(|run| !old.contains(&run.unit)).map(|run| run.end - run.cursor);
            is_marking.then(|| runs.max().unwrap_or(0))
        });
        (meanwhile, lengths.max().unwrap_or(0))
    });
    run_the_rest(core);
    assert!(!core.relay.is_mark_relayed(), "the next mark may be another matter");
    heap.mutate(|mu| {
        assert_eq!(mu.longest_run(), usize::MAX, "it has ended");
        assert_whole(mu, &root);
    });
    runs
}

/// While mutations trace much, they look after few bytes: a run of a whole span would be born meanwhile.
#[test]
fn runs_are_short_while_mutations_trace_much() {
    let (expected, longest) = runs_of_a_mark(&heap(1, 1), MUCH_TRACED + 1);
    assert_eq!(expected, LOOK_SOON as usize);
    assert!((1..LOOK_SOON as usize).contains(&longest), "{longest}");
}

/// Where it is over soon they are not: more of them would take more time.
#[test]
fn runs_are_long_while_mutations_trace_little() {
    let (expected, longest) = runs_of_a_mark(&heap(1, 1), MUCH_TRACED - NODES * size_of::<Node<'_>>() as u64);
    assert_eq!(expected, usize::MAX);
    assert!(longest > LOOK_SOON as usize, "{longest}");
}

/// Nor where the collector's thread does it, which is not about as many bytes as are allocated.
#[test]
fn runs_are_long_while_the_collectors_thread_traces() {
    let heap = heap(1, 1);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    begin_far(&heap);
    core.pace.earn(MUCH_TRACED + 1);
    let mut in_progress = core.relay.begin(core, || None).unwrap();
    assert_eq!(in_progress.steps().advance(core), Due::Roots);
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        (0..1000).for_each(|_| _ = mu.alloc(LONG));
        assert_eq!(mu.longest_run(), usize::MAX);
    });
    drop(in_progress);
    run_the_rest(core);
    heap.mutate(|mu| assert_whole(mu, &root));
}

#[derive(Trace)]
struct Way<'gc> {
    next: Option<Gc<'gc, Way<'gc>>>,
    gate: Option<Gc<'gc, Gate<1>>>,
}

/// Nor where it goes on with what mutations have begun.
#[test]
fn runs_are_long_again_when_the_collectors_thread_goes_on() {
    let heap = heap(1, 1);
    let core = heap.core();
    let (is_traced, traced) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let when_traced = Box::new(move || {
        is_traced.send(()).unwrap();
        may_go_on.lock().recv().unwrap();
    });
    // So long that a mutation does not come to its end in one piece.
    let _root: Root<Way<'static>> = heap.mutate(|mu| {
        let end = mu.alloc(Way { next: None, gate: Some(mu.alloc(Gate(when_traced, LONG))) });
        mu.root((0..NODES).fold(end, |next, _| mu.alloc(Way { next: Some(next), gate: None })))
    });
    begin_far(&heap);
    core.pace.earn(MUCH_TRACED + 1);
    heap.mutate(|mu| {
        while !core.relay.is_mark_relayed() {
            mu.alloc(LONG);
        }
    });
    thread::scope(|scope| {
        let go_on = go_on;
        scope.spawn(|| run_the_rest(core));
        traced.recv().unwrap();
        assert!(!core.relay.is_mark_relayed());
        go_on.send(()).unwrap();
    });
}

/// What is large counts at once: later it would, perhaps, as born in `Mark`.
#[test]
fn the_pacer_is_told_of_a_large_object_at_once() {
    let heap = heap(1, 1);
    let pace = &heap.core().pace;
    heap.mutate(|mu| {
        mu.alloc(0_u64);
        let before = pace.size_and_goal().0;
        mu.alloc_slice_with(1 << 17, |_| 0_u64);
        assert!(pace.size_and_goal().0 - before >= 1 << 20);
    });
}

/// A mutation keeps the second handshake waiting, and builds something that stays. Another one goes on in `Mark` meanwhile: what it builds is black, and garbage.
#[test]
fn what_is_born_while_others_are_in_arm_does_not_count_as_live() {
    const BORN: usize = 1 << 20;
    /// What runs come to that are counted a little later.
    const RUNS: u64 = 256 << 10;
    let born = || (0..BORN / size_of::<Long>()).map(|_| LONG);
    let heap = heap(2, 2);
    let core = heap.core();
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
    let (in_off, is_off) = channel();
    let (in_arm, is_arm) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let kept = thread::scope(|scope| {
        // So that the other one does not wait for it if this one panics.
        let (heap, go_on) = (&heap, go_on);
        let keeper = scope.spawn(move || {
            heap.mutate(|mu| {
                in_off.send(()).unwrap();
                stay_while(mu, Mode::Off);
                assert_eq!(mu.mode(), Mode::Arm);
                let kept: Vec<Root<Long>> = born().map(|long| mu.root(mu.alloc(long))).collect();
                in_arm.send(()).unwrap();
                may_go_on.recv().unwrap();
                kept
            })
        });
        is_off.recv().unwrap();
        let advance = || core.relay.begin(core, || Some(CycleCause::Growth)).unwrap().steps().advance(core);
        assert_eq!(advance(), Due::Answers);
        is_arm.recv().unwrap();
        heap.mutate(|_| ());
        assert_eq!(advance(), Due::Answers);
        mutate_in(heap, Mode::Mark, |mu| born().for_each(|long| _ = mu.alloc(long)));
        assert!(!core.queue.may_assist(), "handshake 2 is through");
        go_on.send(()).unwrap();
        let kept = keeper.join().unwrap();
        // All that is born from now on is black. It counts once.
        assert_eq!(advance(), Due::Roots);
        heap.mutate(|mu| born().for_each(|long| _ = mu.alloc(long)));
        kept
    });
    run_the_rest(core);
    let live = (BORN + NODES as usize * size_of::<Node<'_>>()) as u64;
    assert!(
        core.pace.live() >= live + 2 * BORN as u64 - RUNS,
        "what is born in `Mark` is marked: {}",
        core.pace.live()
    );
    assert!((live - RUNS..live + RUNS).contains(&core.pace.old()), "{} of {live}", core.pace.old());
    assert_eq!(kept.len(), BORN / size_of::<Long>());
    heap.mutate(|mu| assert_whole(mu, &root));
}
