//! Who may mutate when: nesting, several heaps, threads that come and go, changes of the number
//! of processors under load.

#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

use common::{Ledger, Stop, Triple, churn, panic_text};
use linchpin::{Heap, Root};

fn heap_of(processors: usize) -> Heap {
    Heap::builder().processors(processors).build().expect("a valid number of processors")
}

#[test]
fn a_nested_mutation_uses_the_outer_ones_processor() {
    fn descend(heap: &Heap, root: &Root<AtomicU64>, depth: u64) {
        heap.mutate(|mu| {
            let before = mu.alloc(depth);
            root.get(mu).fetch_add(1, Ordering::Relaxed);
            if depth > 0 {
                descend(heap, root, depth - 1);
            }
            assert_eq!(*before, depth, "the outer mutation's object is still its own");
        });
    }
    let heap = heap_of(1);
    let root = heap.mutate(|mu| mu.root(mu.alloc(AtomicU64::new(0))));
    descend(&heap, &root, 50);
    heap.mutate(|mu| assert_eq!(root.get(mu).load(Ordering::Relaxed), 51));
    // The processor came back: another thread can have it.
    thread::scope(|scope| _ = scope.spawn(|| churn(&heap, 100)));
    assert_eq!(heap.stats().waits, 0);
}

#[test]
fn a_panic_in_a_nested_mutation_leaves_the_outer_one_whole() {
    let heap = heap_of(1);
    let ledger = Ledger::new(1);
    heap.mutate(|mu| {
        let held = mu.alloc(ledger.counted(0));
        let text = panic_text(|| heap.mutate(|_| panic!("inner")));
        assert_eq!(text, "inner");
        churn(&heap, 1000);
        assert_eq!(held.entry(), 0);
        ledger.assert_none();
    });
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn two_heaps_nest_both_ways() {
    let (first, second) = (heap_of(1), heap_of(1));
    let in_first = first.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    let in_second = second.mutate(|mu| mu.root(mu.alloc(Triple::of(2))));
    first.mutate(|outer| {
        second.mutate(|middle| {
            first.mutate(|inner| {
                assert_eq!(*in_first.get(inner), Triple::of(1));
                assert_eq!(*in_second.get(middle), Triple::of(2));
                assert_eq!(*in_first.get(outer), Triple::of(1));
            });
        });
    });
    second.mutate(|outer| {
        first.mutate(|middle| {
            second.mutate(|inner| {
                assert_eq!(*in_second.get(inner), Triple::of(2));
                assert_eq!(*in_first.get(middle), Triple::of(1));
                assert_eq!(*in_second.get(outer), Triple::of(2));
            });
        });
    });
    for heap in [&first, &second] {
        churn(heap, 1000);
        heap.collect();
    }
    first.mutate(|mu| assert_eq!(*in_first.get(mu), Triple::of(1)));
    second.mutate(|mu| assert_eq!(*in_second.get(mu), Triple::of(2)));
}

#[test]
fn one_heap_can_collect_inside_anothers_mutation() {
    let (mutating, collecting) = (heap_of(1), heap_of(1));
    let ledger = Ledger::new(1);
    collecting.mutate(|mu| _ = mu.alloc(ledger.counted(0)));
    mutating.mutate(|_| collecting.collect());
    ledger.assert_each_once();
}

#[test]
fn one_thread_takes_turns_on_many_heaps() {
    let heaps: Vec<Heap> = (0..10).map(|_| heap_of(1)).collect();
    let roots: Vec<Root<AtomicU64>> =
        heaps.iter().map(|heap| heap.mutate(|mu| mu.root(mu.alloc(AtomicU64::new(0))))).collect();
    for _ in 0..200 {
        for (heap, root) in heaps.iter().zip(&roots) {
            heap.mutate(|mu| root.get(mu).fetch_add(1, Ordering::Relaxed));
        }
    }
    for (heap, root) in heaps.iter().zip(&roots) {
        heap.mutate(|mu| assert_eq!(root.get(mu).load(Ordering::Relaxed), 200));
    }
}

#[test]
fn a_thread_that_ends_gives_its_processor_back() {
    let heap = heap_of(1);
    for _ in 0..20 {
        thread::scope(|scope| _ = scope.spawn(|| churn(&heap, 100)));
    }
    churn(&heap, 100);
    heap.collect();
    assert_eq!(heap.stats().live_bytes, 0);
}

#[test]
fn a_thread_may_outlive_the_heaps_it_used() {
    for _ in 0..50 {
        let heap = heap_of(2);
        churn(&heap, 50);
    }
    let heap = heap_of(1);
    churn(&heap, 100);
    heap.collect();
}

/// Uses its heap when its thread's locals are destroyed.
struct AtThreadEnd {
    heap: Arc<Heap>,
    root: Root<AtomicU64>,
}

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        self.heap.mutate(|mu| {
            mu.alloc(Triple::of(1));
            self.root.get(mu).fetch_add(1, Ordering::SeqCst);
        });
    }
}

thread_local! {
    static BEFORE: RefCell<Option<AtThreadEnd>> = const { RefCell::new(None) };
    static AFTER: RefCell<Option<AtThreadEnd>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_can_mutate() {
    let heap = Arc::new(heap_of(1));
    let root = heap.mutate(|mu| mu.root(mu.alloc(AtomicU64::new(0))));
    for _ in 0..10 {
        let (heap, root) = (Arc::clone(&heap), root.clone());
        thread::spawn(move || {
            // One local made before the thread's first mutation, one after it: whichever way the
            // platform orders destructors, one of them runs after the heap's own.
            let at_end = || Some(AtThreadEnd { heap: Arc::clone(&heap), root: root.clone() });
            BEFORE.with_borrow_mut(|slot| *slot = at_end());
            churn(&heap, 10);
            AFTER.with_borrow_mut(|slot| *slot = at_end());
        })
        .join()
        .expect("the thread's end does not panic");
    }
    heap.mutate(|mu| assert_eq!(root.get(mu).load(Ordering::SeqCst), 20));
    heap.collect();
}

#[test]
fn more_threads_than_processors_all_complete() {
    const THREADS: u64 = 8;
    const MUTATIONS: u64 = 2000;
    for processors in [1, 2] {
        let heap = heap_of(processors);
        let inside = AtomicU64::new(0);
        let most_inside = AtomicU64::new(0);
        let root = heap.mutate(|mu| mu.root(mu.alloc(AtomicU64::new(0))));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..MUTATIONS {
                        heap.mutate(|mu| {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            most_inside.fetch_max(now, Ordering::SeqCst);
                            mu.alloc(Triple::of(1));
                            root.get(mu).fetch_add(1, Ordering::Relaxed);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        heap.mutate(|mu| assert_eq!(root.get(mu).load(Ordering::Relaxed), THREADS * MUTATIONS));
        let most = most_inside.into_inner();
        assert!(most <= processors as u64, "{most} mutations at once on {processors} processors");
    }
}

#[test]
fn threads_that_wait_for_the_only_processor_get_it() {
    let heap = heap_of(1);
    let completed = AtomicU64::new(0);
    let released = AtomicBool::new(false);
    let (coming, come) = channel();
    thread::scope(|scope| {
        heap.mutate(|_mu| {
            for _ in 0..4 {
                let (heap, completed, released, coming) = (&heap, &completed, &released, coming.clone());
                scope.spawn(move || {
                    coming.send(()).expect("the test waits");
                    heap.mutate(|mu| {
                        assert!(released.load(Ordering::SeqCst), "two mutations on one processor");
                        mu.alloc(Triple::of(1));
                    });
                    completed.fetch_add(1, Ordering::SeqCst);
                });
            }
            for _ in 0..4 {
                come.recv().expect("the threads come");
            }
            assert_eq!(completed.load(Ordering::SeqCst), 0);
            released.store(true, Ordering::SeqCst);
        });
    });
    assert_eq!(completed.into_inner(), 4);
}

#[test]
fn a_waiting_thread_gets_a_processor_that_is_added() {
    let heap = heap_of(1);
    heap.mutate(|_mu| {
        thread::scope(|scope| {
            let (coming, come) = channel();
            let heap = &heap;
            let waiting = scope.spawn(move || {
                coming.send(()).expect("the test waits");
                heap.mutate(|mu| *mu.alloc(5_u64))
            });
            come.recv().expect("the thread comes");
            heap.set_processors(2).expect("two processors are allowed");
            assert_eq!(waiting.join().expect("the waiting thread does not panic"), 5);
        });
    });
}

#[test]
fn processors_change_under_load() {
    const THREADS: usize = 4;
    const MUTATIONS: usize = 4000;
    let heap = heap_of(4);
    let ledger = Ledger::new(THREADS * MUTATIONS);
    let begin = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        let spawn_worker = |thread: usize| {
            let (heap, ledger, begin) = (&heap, &ledger, &begin);
            scope.spawn(move || {
                begin.wait();
                let mut kept: Vec<Root<_>> = Vec::new();
                for number in thread * MUTATIONS..(thread + 1) * MUTATIONS {
                    kept.push(heap.mutate(|mu| mu.root(mu.alloc(ledger.counted(number)))));
                    if kept.len() == 100 {
                        heap.mutate(|mu| {
                            for root in &kept {
                                assert_eq!(root.get(mu).entry() / MUTATIONS, thread);
                            }
                        });
                        kept.clear();
                    }
                }
            })
        };
        let workers: Vec<_> = (0..THREADS).map(spawn_worker).collect();
        begin.wait();
        let mut round = 0;
        while round < 100 || !workers.iter().all(|worker| worker.is_finished()) {
            let processors = [1, 4, 2, 8, 3][round % 5];
            heap.set_processors(processors).expect("a few processors are allowed");
            assert_eq!(heap.processors(), processors);
            if round % 10 == 0 {
                heap.collect();
            }
            round += 1;
        }
    });
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(heap.stats().live_bytes, 0);
    assert_eq!(heap.stats().processors, heap.processors());
}

/// A smaller number takes effect even if threads queue for processors without a pause.
#[test]
fn fewer_processors_take_effect_under_load() {
    const THREADS: usize = 6;
    let heap = heap_of(4);
    let stop = Stop::default();
    let (inside, most_inside) = (AtomicU64::new(0), AtomicU64::new(0));
    let completed: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
    // Returns when every thread has completed some more mutations.
    let let_run = |mutations: u64| {
        let now: Vec<u64> = completed.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        for (count, before) in completed.iter().zip(now) {
            while count.load(Ordering::SeqCst) < before + mutations {
                thread::yield_now();
            }
        }
    };
    thread::scope(|scope| {
        let at_end = stop.on_drop();
        for count in &completed {
            scope.spawn(|| {
                while !stop.is_set() {
                    heap.mutate(|mu| {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most_inside.fetch_max(now, Ordering::SeqCst);
                        mu.alloc(Triple::of(1));
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let_run(20);
        heap.set_processors(1).expect("one processor is allowed");
        let_run(20);
        most_inside.store(0, Ordering::SeqCst);
        let_run(20);
        let most = most_inside.load(Ordering::SeqCst);
        drop(at_end);
        assert_eq!(most, 1, "mutations at once on one processor");
    });
}

/// A mutation that goes on keeps its processor; the next one of that thread has to find another.
#[test]
fn a_smaller_number_takes_effect_with_the_next_mutation() {
    let heap = heap_of(2);
    let first_has_ended = AtomicBool::new(false);
    let (inside, is_inside) = channel();
    let (resized, was_resized) = channel::<()>();
    thread::scope(|scope| {
        // Owned in here, so that the second mutation ends if the test fails.
        let resized = resized;
        let (heap, first_has_ended) = (&heap, &first_has_ended);
        let second = heap.mutate(|_mu| {
            let second = scope.spawn(move || {
                heap.mutate(|_mu| {
                    inside.send(()).expect("the test waits");
                    _ = was_resized.recv();
                });
                heap.mutate(|_mu| first_has_ended.load(Ordering::SeqCst))
            });
            is_inside.recv().expect("the second mutation begins");
            heap.set_processors(1).expect("one processor is allowed");
            resized.send(()).expect("the second mutation waits");
            while heap.stats().waits == 0 && !second.is_finished() {
                thread::yield_now();
            }
            first_has_ended.store(true, Ordering::SeqCst);
            second
        });
        assert!(second.join().expect("the second thread does not panic"), "two mutations on one processor");
    });
}

#[test]
fn a_retired_processor_is_not_handed_to_a_waiting_thread() {
    let (heap, elsewhere) = (heap_of(1), heap_of(1));
    let first_has_ended = AtomicBool::new(false);
    let (inside, is_inside) = channel();
    let (end_second, second_may_end) = channel::<()>();
    thread::scope(|scope| {
        // Owned in here, so that the second mutation ends if the test fails.
        let end_second = end_second;
        let (heap, first_has_ended) = (&heap, &first_has_ended);
        let third = heap.mutate(|_mu| {
            heap.set_processors(2).expect("two processors are allowed");
            let second = scope.spawn(move || {
                heap.mutate(|_mu| {
                    inside.send(()).expect("the test waits");
                    _ = second_may_end.recv();
                });
            });
            is_inside.recv().expect("the second mutation begins");
            let third = scope.spawn(move || heap.mutate(|_mu| first_has_ended.load(Ordering::SeqCst)));
            while heap.stats().waits == 0 {
                thread::yield_now();
            }
            // Lets the third look in vain and stand in the queue, by work on another heap.
            churn(&elsewhere, 50_000);
            heap.set_processors(1).expect("one processor is allowed");
            end_second.send(()).expect("the second mutation waits");
            second.join().expect("the second mutation does not panic");
            churn(&elsewhere, 50_000);
            first_has_ended.store(true, Ordering::SeqCst);
            third
        });
        let waited = third.join().expect("the third mutation does not panic");
        assert!(waited, "the processor that was to retire went to a waiting thread");
    });
}

#[test]
fn processors_can_change_inside_a_mutation() {
    let heap = heap_of(4);
    let ledger = Ledger::new(1);
    heap.mutate(|mu| {
        let held = mu.alloc(ledger.counted(0));
        heap.set_processors(1).expect("one processor is allowed");
        churn(&heap, 100);
        heap.set_processors(2).expect("two processors are allowed");
        assert_eq!(held.entry(), 0);
    });
    assert_eq!(heap.processors(), 2);
    churn(&heap, 100);
    heap.collect();
    ledger.assert_each_once();
}
