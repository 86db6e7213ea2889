//! Long computations: in steps, and told of if they are not.

#![cfg(not(loom))]

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;

use common::{Ledger, panic_text};
use linchpin::{Gc, GcCell, Heap, Root, Trace};

fn builder() -> linchpin::HeapBuilder {
    Heap::builder().processors(2)
}

#[derive(Trace)]
struct Cons<'gc> {
    counted: common::Counted,
    next: Option<Gc<'gc, Cons<'gc>>>,
}

#[derive(Trace)]
struct Machine<'gc> {
    steps: AtomicU64,
    list: GcCell<'gc, Cons<'gc>>,
}

fn machine(heap: &Heap) -> Root<Machine<'static>> {
    heap.mutate(|mu| mu.root(mu.alloc(Machine { steps: AtomicU64::new(0), list: GcCell::null() })))
}

#[test]
fn steps_follow_one_another_until_one_breaks() {
    let heap = builder().build().expect("a heap of two processors");
    let machine = machine(&heap);
    let mut called = 0;
    let outcome = heap.run(&machine, |_, machine| {
        assert_eq!(machine.steps.fetch_add(1, Ordering::Relaxed), called);
        called += 1;
        if called < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break("done") }
    });
    assert_eq!((outcome, called), ("done", 1000));
}

/// A whole cycle goes by while one computation is under way, which never ends a mutation by itself: what it keeps in its state
/// is there, what it has let go of is freed.
#[test]
fn a_cycle_goes_on_between_steps() {
    const FREED: usize = 100;
    let heap = builder().build().expect("a heap of two processors");
    let ledger = Ledger::new(FREED + 1);
    let machine = machine(&heap);
    thread::scope(|scope| {
        let (begun, collect) = channel();
        let heap = &heap;
        let cycle = scope.spawn(move || {
            collect.recv().unwrap();
            heap.collect();
        });
        let steps = heap.run(&machine, |mu, machine| {
            let step = machine.steps.fetch_add(1, Ordering::Relaxed);
            if step == 0 {
                for entry in 0..FREED {
                    mu.alloc(Cons { counted: ledger.counted(entry), next: None });
                }
                machine.list.store(mu, mu.alloc(Cons { counted: ledger.counted(FREED), next: None }));
                begun.send(()).unwrap();
            }
            assert_eq!(machine.list.load().unwrap().counted.entry(), FREED);
            assert!(machine.list.load().unwrap().next.is_none());
            if cycle.is_finished() {
                return ControlFlow::Break(step);
            }
            thread::yield_now();
            ControlFlow::Continue(())
        });
        assert!(steps > 0);
    });
    assert_eq!((ledger.total(), ledger.drops_of(FREED)), (FREED as u64, 0));
}

/// With one processor, a thread that waits for it gets it in the middle of the computation.
#[test]
fn a_waiting_thread_gets_the_processor() {
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    let machine = machine(&heap);
    thread::scope(|scope| {
        let (heap, machine) = (&heap, &machine);
        let mut other = None;
        heap.run(machine, |mu, state| {
            let other = other.get_or_insert_with(|| {
                scope.spawn(|| heap.mutate(|mu| machine.get(mu).steps.store(7, Ordering::Relaxed)))
            });
            assert!(!mu.is_pinned(state));
            if other.is_finished() {
                return ControlFlow::Break(());
            }
            thread::yield_now();
            ControlFlow::Continue(())
        });
        heap.mutate(|mu| assert_eq!(machine.get(mu).steps.load(Ordering::Relaxed), 7));
    });
}

#[test]
fn a_mutation_is_told_when_to_yield() {
    let heap = builder().build().expect("a heap of two processors");
    heap.mutate(|mu| assert!(!mu.wants_yield(), "nothing waits"));
    thread::scope(|scope| {
        let collector = heap.mutate(|mu| {
            let collector = scope.spawn(|| heap.collect());
            while !mu.wants_yield() {
                thread::yield_now();
            }
            collector
        });
        collector.join().unwrap();
    });
    heap.mutate(|mu| assert!(!mu.wants_yield()));
}

#[test]
fn a_panic_in_a_step_is_passed_on() {
    let heap = builder().build().expect("a heap of two processors");
    let machine = machine(&heap);
    let text = panic_text(|| {
        heap.run(&machine, |_, machine| -> ControlFlow<()> {
            assert!(machine.steps.fetch_add(1, Ordering::Relaxed) < 3, "the fourth step panics");
            ControlFlow::Continue(())
        });
    });
    assert!(text.contains("the fourth step panics"), "{text}");
    heap.collect();
    heap.mutate(|mu| assert_eq!(machine.get(mu).steps.load(Ordering::Relaxed), 4));
}

/// A limit of nothing: whatever mutation a cycle finds under way is told of, by the line that began it, once each time.
#[test]
fn a_mutation_that_delays_a_cycle_is_named() {
    let (told, tellings) = sync_channel(100);
    let heap = builder()
        .long_mutation_limit(Duration::ZERO)
        .on_long_mutation(move |long| told.send(long.clone()).unwrap())
        .build()
        .expect("a heap of two processors");
    heap.collect();
    assert!(tellings.try_recv().is_err(), "no mutation was under way");
    let (long, line) = thread::scope(|scope| {
        let line = line!() + 1;
        let long = heap.mutate(|_| {
            scope.spawn(|| heap.collect());
            tellings.recv().unwrap()
        });
        (long, line)
    });
    assert_eq!((long.caller.file(), long.caller.line(), long.heap), (file!(), line, heap.id()));
    assert!(long.to_string().contains(&format!("{}:{line}", file!())), "{long}");
    assert!(tellings.try_recv().is_err(), "it is told of once");
    let stats = heap.stats();
    assert_eq!(stats.long_mutations, 1);
    assert!(stats.longest_delay >= long.delayed);
}

/// A hook that panics harms nobody.
#[test]
fn a_hook_that_panics_goes_no_further() {
    let (told, tellings) = channel();
    let heap = builder()
        .long_mutation_limit(Duration::ZERO)
        .on_long_mutation(move |_| {
            told.send(()).unwrap();
            panic!("the hook panics");
        })
        .build()
        .expect("a heap of two processors");
    thread::scope(|scope| {
        heap.mutate(|_| {
            scope.spawn(|| heap.collect());
            tellings.recv().unwrap();
        });
    });
    heap.collect();
    heap.verify().unwrap();
}
