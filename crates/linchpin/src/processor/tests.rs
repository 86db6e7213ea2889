//! Processors that are held, handed over and retired at moments that a test from outside cannot arrange.

use std::thread;

use super::acquire::{MAX_PROCESSORS, check_count};
use super::phase::{Mode, Status};
use super::thread::current_processor;
use super::{BARRIER_BUFFER, Holding, Processor};
use crate::collector::queue::Grey;
use crate::error::BuildError;
use crate::{DebugSettings, Heap, Pinner};

/// The numbered ones of a heap, whose collector has no business.
fn numbered(heap: &Heap) -> Vec<&Processor> {
    heap.core().processors.all().filter(|processor| processor.index() != Processor::SPARE).collect()
}

/// Which processor a mutation that this thread begins is on.
fn processor_of_a_mutation(heap: &Heap) -> usize {
    heap.mutate(|mu| {
        let processor = current_processor(mu.core()).expect("a mutation is in progress");
        // SAFETY: the heap is there, and so are its processors.
        unsafe { &*processor }.index()
    })
}

#[test]
fn there_are_as_many_processors_as_there_can_be() {
    assert_eq!(check_count(0), Err(BuildError::ZeroProcessors));
    assert_eq!([1, MAX_PROCESSORS].map(check_count), [Ok(()), Ok(())]);
    let requested = MAX_PROCESSORS + 1;
    assert_eq!(check_count(requested), Err(BuildError::TooManyProcessors { requested, max: MAX_PROCESSORS }));
}

/// Each new thread begins at another processor, so that threads do not take one another's.
#[test]
fn new_threads_spread_over_the_processors() {
    let heap = Heap::builder().processors(8).build().unwrap();
    let new_thread = || thread::scope(|scope| scope.spawn(|| processor_of_a_mutation(&heap)).join().unwrap());
    let mut first: Vec<usize> = (0..8).map(|_| new_thread()).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2, 3, 4, 5, 6, 7]);
}

/// Where mutations move, they do so at random, as the seed says.
#[test]
fn mutations_that_move_follow_the_seed() {
    let moves = |seed| {
        let debug = DebugSettings::new().move_mutations(true).seed(seed);
        let heap = Heap::builder().processors(8).debug(debug).build().unwrap();
        [(); 32].map(|()| processor_of_a_mutation(&heap))
    };
    assert_eq!(moves(1), moves(1));
    assert_ne!(moves(1), moves(2));
}

/// A thread that never finds a processor by itself is handed one that others give back.
#[test]
fn who_looks_in_vain_is_handed_a_processor() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let waiting = &heap.core().processors.waiting;
    let only = numbered(&heap)[0];
    thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(waiting.wait_for(|| None)));
        while !waiter.is_finished() {
            if let Some(holding) = only.try_take(Status::Running) {
                waiting.pass_on(holding);
            }
            thread::yield_now();
        }
    });
    assert!(!waiting.any() && waiting.is_deserted());
    assert_eq!(only.state().status(), Status::Idle, "its holder gave it back");
}

/// Whoever leaves a mutation hands its processor to a thread that has looked in vain, and does not keep it for the next one.
#[test]
fn who_leaves_a_mutation_hands_its_processor_on() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let waiting = &heap.core().processors.waiting;
    let mut looks = 0;
    let holding = waiting.wait_for(|| {
        looks += 1;
        assert!(looks <= 2, "the processor was not handed over");
        if looks == 2 {
            heap.mutate(|_| ());
        }
        None
    });
    assert_eq!(holding.processor().index(), 0);
}

/// One that finds a processor in the very moment in which it is handed another keeps one of them, and passes the other on.
#[test]
fn a_processor_handed_over_too_many_is_passed_on() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let waiting = &heap.core().processors.waiting;
    let [handed, found] = numbered(&heap)[..] else { panic!("two processors") };
    let mut looks = 0;
    let holding = waiting.wait_for(|| {
        looks += 1;
        // Only who has looked in vain once is handed one.
        if looks == 1 {
            return None;
        }
        waiting.pass_on(handed.try_take(Status::Running).unwrap());
        found.try_take(Status::Running)
    });
    assert_eq!(holding.processor().index(), found.index());
    assert_eq!(handed.state().status(), Status::Idle, "nobody uses it, and nobody can take it");
    assert!(waiting.is_deserted());
}

/// One that finds a processor by itself, sooner or later, waits no more.
#[test]
fn who_finds_a_processor_leaves_the_queue() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let waiting = &heap.core().processors.waiting;
    let only = numbered(&heap)[0];
    for looks_in_vain in 0..3 {
        let mut looks = 0;
        drop(waiting.wait_for(|| {
            assert!(waiting.any() && !waiting.is_deserted(), "who leaves must see that one waits");
            looks += 1;
            (looks > looks_in_vain).then(|| only.try_take(Status::Running).unwrap())
        }));
        assert!(!waiting.any() && waiting.is_deserted(), "after {looks_in_vain} looks in vain");
    }
    assert_eq!(waiting.waits(), 3);
}

/// A processor that was to be retired is in use again, since the limit was raised before the collector came to it.
#[test]
fn a_processor_within_the_limit_is_not_retired() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let core = heap.core();
    let second = numbered(&heap)[1];
    core.processors.retire(core, second.try_take(Status::Held).unwrap());
    assert_eq!(second.state().status(), Status::Idle);
}

/// A processor that was retired is in use again, in the phase of the time, when there may be as many.
#[test]
fn a_retired_processor_comes_back() {
    let heap = Heap::builder().processors(2).build().unwrap();
    heap.set_processors(1).unwrap();
    let second = numbered(&heap)[1];
    assert_eq!(second.state().status(), Status::Retired);
    heap.collect();
    heap.set_processors(2).unwrap();
    assert_eq!((second.state().status(), second.state().phase()), (Status::Idle, heap.core().processors.phase()));
    let holding = second.try_take(Status::Running).unwrap();
    assert_eq!(holding.local().phase.get(), heap.core().processors.phase());
}

/// The end of a heap holds all its processors, but for those that are retired.
#[test]
fn whatever_is_in_use_can_be_held() {
    let heap = Heap::builder().processors(2).build().unwrap();
    heap.set_processors(1).unwrap();
    let [first, second] = numbered(&heap)[..] else { panic!("two processors") };
    let running = first.try_take(Status::Running).unwrap();
    thread::scope(|scope| {
        let held = scope.spawn(|| first.hold().map(|holding| holding.processor().index()));
        drop(running);
        assert_eq!(held.join().unwrap(), Some(0), "it waits for who has it");
    });
    assert!(second.hold().is_none(), "nobody ever gives a retired one back");
}

/// What is shaded waits for a handshake or for a bufferful, since each batch costs the collector a turn.
#[test]
fn grey_objects_are_handed_over_by_the_bufferful() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        let (core, local) = (mu.core(), mu.local());
        let note = || local.note_grey(core, [Grey(mu.alloc(0_u64).start())]);
        (1..BARRIER_BUFFER).for_each(|_| note());
        assert!(core.queue.is_empty());
        note();
        assert_eq!(core.queue.take().expect("a batch").len(), BARRIER_BUFFER);
        assert!(core.queue.is_empty());
    });
}

/// The fast way into a mutation is for a processor that is idle and has answered every handshake.
#[test]
fn an_idle_processor_is_taken_in_its_own_phase_only() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let only = numbered(&heap)[0];
    let phase = heap.core().processors.phase();
    assert!(!only.try_run_in(phase.repeated()));
    assert!(only.try_run_in(phase));
    assert!(!only.try_run_in(phase), "it is taken");
    // SAFETY: this thread took it, and has no other evidence.
    drop(unsafe { Holding::of(only) });
}

/// What a processor keeps for later stays with it while a cycle marks, and goes in the last handshake.
#[test]
fn only_the_handshake_to_off_empties_a_processor() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| _ = Pinner::new().pin(mu, mu.alloc(0_u64)));
    let (core, only) = (heap.core(), numbered(&heap)[0]);
    let keeps_its_inner_pinner = |mode| {
        let phase = core.processors.change_phase(|phase| phase.next(mode, phase.colour()));
        let holding = only.try_take(Status::Running).unwrap();
        holding.answer_running(core, phase);
        !holding.local().pinner_cache_is_empty()
    };
    let modes = [Mode::Off, Mode::Arm, Mode::Mark, Mode::Close, Mode::Off];
    assert_eq!(modes.map(keeps_its_inner_pinner), [true, true, true, true, false]);
}

#[test]
fn every_third_allocation_is_time_to_collect() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        let is_time = [(); 7].map(|()| mu.local().is_time_to_collect(3));
        assert_eq!(is_time, [false, false, true, false, false, true, false]);
    });
}

#[test]
fn the_pacer_is_told_of_each_byte_once() {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        let local = mu.local();
        let told = [100, 0, 50, 7].map(|bytes| {
            local.runs.count_large(bytes);
            local.unreported_bytes()
        });
        assert_eq!(told, [100, 0, 50, 7]);
    });
}
