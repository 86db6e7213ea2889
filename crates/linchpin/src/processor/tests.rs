//! Processors that are held, handed over and retired at moments that a test from outside cannot arrange.

use std::thread;

use super::Processor;
use super::phase::Status;
use crate::Heap;

/// The numbered ones of a heap, whose collector has no business.
fn numbered(heap: &Heap) -> Vec<&Processor> {
    heap.core().processors.all().filter(|processor| processor.index() != Processor::SPARE).collect()
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
