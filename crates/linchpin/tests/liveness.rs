//! A mutation that stays long delays the end of the cycle and nothing else: other threads mutate
//! and allocate, the cycle is pending, and it completes once the long mutation has ended.
//! "Long" is expressed by counts and order, never by clocks.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Counted, Ledger, Triple, churn};
use linchpin::{GcCell, Heap, Root, Trace};

const WORKERS: usize = 2;
const MUTATIONS: usize = 3000;

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, Counted>,
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<&'static str>>>);

impl Journal {
    fn note(&self, event: &'static str) {
        self.0.lock().expect("nobody panics with it").push(event);
    }

    fn events(&self) -> Vec<&'static str> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

fn heap() -> Heap {
    Heap::builder().processors(WORKERS + 2).build().expect("a heap of a few processors")
}

/// Some threads that each complete thousands of mutations, allocations in all of them.
fn work(heap: &Heap) {
    let completed = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let completed = &completed;
            scope.spawn(move || {
                let kept: Root<Triple> = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(worker as i64))));
                for number in 0..MUTATIONS {
                    heap.mutate(|mu| {
                        let object = mu.alloc(Triple::of(number as i64));
                        mu.alloc_slice_with(16, |index| index as u64);
                        assert_eq!(*object, Triple::of(number as i64));
                        assert_eq!(*kept.get(mu), Triple::of(worker as i64));
                    });
                    completed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(completed.into_inner(), (WORKERS * MUTATIONS) as u64);
}

#[test]
fn others_go_on_while_a_long_mutation_delays_a_cycle() {
    let heap = heap();
    let journal = Journal::default();
    let ledger = Ledger::new(1);
    let cycles_before = heap.stats().cycles;
    let (entered, has_entered) = channel();
    let (leave, may_leave) = channel::<()>();
    let (asking, has_asked) = channel();
    let collected = AtomicBool::new(false);
    thread::scope(|scope| {
        // Owned in here, so that the long mutation ends if the test fails.
        let leave = leave;
        let (heap, journal, ledger, collected) = (&heap, &journal, &ledger, &collected);
        scope.spawn(move || {
            heap.mutate(|mu| {
                // Nothing but this mutation's own frame knows the object.
                let held = mu.alloc(ledger.counted(0));
                entered.send(()).expect("the test waits");
                may_leave.recv().expect("the test answers");
                assert_eq!(held.entry(), 0);
                assert_eq!(ledger.drops_of(0), 0, "swept under a running mutation");
                journal.note("the long mutation ends");
            });
        });
        has_entered.recv().expect("the long mutation begins");
        scope.spawn(move || {
            asking.send(()).expect("the test waits");
            heap.collect();
            journal.note("the cycle is complete");
            collected.store(true, Ordering::SeqCst);
        });
        has_asked.recv().expect("the collecting thread begins");

        work(heap);
        assert!(!collected.load(Ordering::SeqCst), "the cycle did not wait for the mutation");
        assert_eq!(heap.stats().cycles, cycles_before);
        journal.note("the others are done");
        leave.send(()).expect("the long mutation waits");
    });
    assert_eq!(journal.events(), ["the others are done", "the long mutation ends", "the cycle is complete"]);
    assert!(heap.stats().cycles > cycles_before);
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(heap.stats().live_bytes, 0);
}

#[test]
fn others_go_on_while_a_mutation_begun_in_mid_cycle_delays_it() {
    let heap = heap();
    let journal = Journal::default();
    let ledger = Ledger::new(1);
    let root: Root<Slot<'static>> =
        heap.mutate(|mu| mu.root(mu.alloc(Slot { held: GcCell::new(mu.alloc(ledger.counted(0))) })));
    let cycles_before = heap.stats().cycles;
    let collected = AtomicBool::new(false);
    let (entered, has_entered) = channel();
    let (asking, has_asked) = channel();
    let (first_leave, first_may_leave) = channel::<()>();
    let (second_leave, second_may_leave) = channel::<()>();
    thread::scope(|scope| {
        // Owned in here, so that the long mutations end if the test fails.
        let (first_leave, second_leave) = (first_leave, second_leave);
        let (heap, journal, root, collected) = (&heap, &journal, &root, &collected);
        // The first long mutation holds the cycle at its first handshake.
        let first_entered = entered.clone();
        let first = scope.spawn(move || {
            heap.mutate(|_mu| {
                first_entered.send(()).expect("the test waits");
                first_may_leave.recv().expect("the test answers");
            });
        });
        has_entered.recv().expect("the first long mutation begins");
        scope.spawn(move || {
            asking.send(()).expect("the test waits");
            heap.collect();
            journal.note("the cycle is complete");
            collected.store(true, Ordering::SeqCst);
        });
        has_asked.recv().expect("the collecting thread begins");
        // Every processor that the cycle can reach passes the handshake meanwhile.
        churn(heap, 50_000);

        // The second begins in mid-cycle and holds an object that others unlink.
        scope.spawn(move || {
            heap.mutate(|mu| {
                let held = root.get(mu).held.load().expect("it is linked");
                entered.send(()).expect("the test waits");
                second_may_leave.recv().expect("the test answers");
                assert_eq!(held.entry(), 0);
                root.get(mu).held.store(mu, held);
                journal.note("the second long mutation ends");
            });
        });
        has_entered.recv().expect("the second long mutation begins");
        first_leave.send(()).expect("the first long mutation waits");
        first.join().expect("the first long mutation does not panic");
        heap.mutate(|mu| root.get(mu).held.store(mu, None));

        work(heap);
        assert!(!collected.load(Ordering::SeqCst), "the cycle did not wait for the mutation");
        assert_eq!(heap.stats().cycles, cycles_before);
        ledger.assert_none();
        journal.note("the others are done");
        second_leave.send(()).expect("the second long mutation waits");
    });
    assert_eq!(journal.events(), ["the others are done", "the second long mutation ends", "the cycle is complete"]);
    assert!(heap.stats().cycles > cycles_before);

    // What was unlinked and linked again is alive; unlinked for good, it dies.
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        let slot = root.get(mu);
        assert_eq!(slot.held.load().expect("it was linked again").entry(), 0);
        slot.held.store(mu, None);
    });
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_long_mutation_does_not_hold_up_roots_and_pins_of_others() {
    let heap = heap();
    let ledger = Ledger::new(100);
    let (entered, has_entered) = channel();
    let (leave, may_leave) = channel::<()>();
    thread::scope(|scope| {
        // Owned in here, so that the long mutation ends if the test fails.
        let leave = leave;
        let heap = &heap;
        scope.spawn(move || {
            heap.mutate(|_mu| {
                entered.send(()).expect("the test waits");
                may_leave.recv().expect("the test answers");
            });
        });
        has_entered.recv().expect("the long mutation begins");
        let collecting = scope.spawn(move || heap.collect());
        let mut pinners = Vec::new();
        for entry in 0..100 {
            // Made and dropped inside and outside of mutations, all while the cycle is pending.
            let root = heap.mutate(|mu| {
                let object = mu.alloc(ledger.counted(entry));
                let mut pinner = linchpin::Pinner::new();
                pinner.pin(mu, object);
                pinners.push(pinner);
                mu.root(object)
            });
            let again = root.clone();
            drop(root);
            heap.mutate(|mu| assert_eq!(again.get(mu).entry(), entry));
        }
        assert_eq!(pinners.len(), 100);
        drop(pinners);
        ledger.assert_none();
        assert!(!collecting.is_finished());
        leave.send(()).expect("the long mutation waits");
        collecting.join().expect("the collecting thread does not panic");
    });
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn several_collect_calls_all_return() {
    let heap = heap();
    let before = heap.stats().cycles;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    churn(&heap, 1000);
                    heap.collect();
                }
            });
        }
    });
    let cycles = heap.stats().cycles - before;
    assert!(cycles >= 5, "one thread alone asked for five, there were {cycles}");
}

#[test]
fn cycles_start_by_themselves() {
    let heap = Heap::new();
    let before = heap.stats().cycles;
    let mut rounds = 0_u64;
    // Garbage without end until two cycles have come of it.
    while heap.stats().cycles < before + 2 {
        churn(&heap, 10_000);
        rounds += 1;
        assert!(rounds < 100_000, "gigabytes of garbage started no cycle");
    }
}
