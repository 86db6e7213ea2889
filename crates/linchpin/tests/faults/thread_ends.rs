//! Threads that end anywhere: with roots and pinners in their locals, in the middle of a mutation, after the heap, or never.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

use crate::common::{Counted, Ledger, Stop, Triple, assert_nothing_live, churn};
use crate::process::in_own_process;
use linchpin::{Heap, Pinner, Root, Trace};

fn heap_of(processors: usize) -> Heap {
    Heap::builder().processors(processors).on_pin_leak(|_| {}).build().expect("a valid number of processors")
}

/// What a thread still holds when its locals are destroyed.
#[derive(Default)]
struct Held {
    roots: Vec<Root<Counted>>,
    pinner: Pinner,
}

thread_local! {
    static HELD: RefCell<Held> = RefCell::default();
}

fn hold_in_this_thread(heap: &Heap, ledger: &Ledger, first: usize) {
    HELD.with_borrow_mut(|held| {
        heap.mutate(|mu| {
            held.roots.push(mu.root(mu.alloc(ledger.counted(first))));
            held.pinner.pin(mu, mu.alloc(ledger.counted(first + 1)));
        });
    });
}

#[test]
fn roots_and_pins_in_locals_end_with_their_thread() {
    const THREADS: usize = 20;
    let heap = heap_of(2);
    let ledger = Ledger::new(2 * THREADS);
    for thread in 0..THREADS {
        thread::scope(|scope| {
            scope.spawn(|| {
                hold_in_this_thread(&heap, &ledger, 2 * thread);
                heap.collect();
                assert_eq!(ledger.drops_of(2 * thread) + ledger.drops_of(2 * thread + 1), 0);
            });
        });
    }
    // A scope ends before its threads' locals are destroyed: only the values tell when that has happened.
    while ledger.total() < 2 * THREADS as u64 {
        heap.collect();
    }
    ledger.assert_each_once();
    heap.collect();
    assert_nothing_live(&heap);
}

#[test]
fn roots_and_pins_in_locals_may_outlive_the_heap() {
    const THREADS: usize = 8;
    let ledger = Ledger::new(2 * THREADS);
    let heap = heap_of(2);
    let all_hold = Barrier::new(THREADS + 1);
    let heap_is_gone = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (heap, ledger, all_hold, heap_is_gone) = (&heap, &ledger, &all_hold, &heap_is_gone);
                scope.spawn(move || {
                    hold_in_this_thread(heap, ledger, 2 * thread);
                    all_hold.wait();
                    heap_is_gone.wait();
                })
            })
            .collect();
        all_hold.wait();
        churn(&heap, 1000);
        heap.collect();
        ledger.assert_none();
        drop(threads);
        heap_is_gone.wait();
    });
    drop(heap);
    while ledger.total() < 2 * THREADS as u64 {
        thread::yield_now();
    }
    ledger.assert_each_once();
}

/// The heap is dropped first, then, all at once, the threads with what they hold of it; each settles the rest of the heap.
#[test]
fn the_last_holders_of_an_ended_heap_may_end_at_once() {
    const THREADS: usize = 6;
    for _ in 0..20 {
        let ledger = Ledger::new(2 * THREADS);
        let heap = Arc::new(heap_of(1));
        let all_hold = Arc::new(Barrier::new(THREADS + 1));
        let heap_is_gone = Arc::new(Barrier::new(THREADS + 1));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (heap, ledger) = (Arc::clone(&heap), ledger.clone());
                let (all_hold, heap_is_gone) = (Arc::clone(&all_hold), Arc::clone(&heap_is_gone));
                thread::spawn(move || {
                    hold_in_this_thread(&heap, &ledger, 2 * thread);
                    drop(heap);
                    all_hold.wait();
                    heap_is_gone.wait();
                })
            })
            .collect();
        all_hold.wait();
        drop(Arc::into_inner(heap).expect("the threads have dropped theirs"));
        ledger.assert_none();
        heap_is_gone.wait();
        for thread in threads {
            thread.join().expect("a thread's end does not panic");
        }
        // Who has the lock of the settling heap settles for those who found it taken, perhaps after they are gone.
        while ledger.total() < 2 * THREADS as u64 {
            thread::yield_now();
        }
        ledger.assert_each_once();
    }
}

#[test]
fn a_local_may_mutate_another_heap_when_its_own_is_gone() {
    struct AtEnd {
        gone: Option<Root<Counted>>,
        here: Arc<Heap>,
        root: Root<AtomicU64>,
    }
    impl Drop for AtEnd {
        fn drop(&mut self) {
            // Inside a mutation of another heap, the last root of the ended one runs its last cycle.
            self.here.mutate(|mu| {
                mu.alloc(Triple::of(1));
                drop(self.gone.take());
                self.root.get(mu).fetch_add(1, Ordering::SeqCst);
            });
        }
    }
    thread_local! {
        static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    }
    let here = Arc::new(heap_of(1));
    let root = here.mutate(|mu| mu.root(mu.alloc(AtomicU64::new(0))));
    let ledger = Ledger::new(10);
    for entry in 0..10 {
        let (here, root, ledger) = (Arc::clone(&here), root.clone(), ledger.clone());
        thread::spawn(move || {
            let gone = heap_of(1);
            let held = gone.mutate(|mu| mu.root(mu.alloc(ledger.counted(entry))));
            AT_END.with_borrow_mut(|slot| *slot = Some(AtEnd { gone: Some(held), here, root }));
            drop(gone);
            assert_eq!(ledger.drops_of(entry), 0);
        })
        .join()
        .expect("the thread's end does not panic");
    }
    ledger.assert_each_once();
    here.mutate(|mu| assert_eq!(root.get(mu).load(Ordering::SeqCst), 10));
    here.collect();
}

/// On one processor, so that each thread can only run if the one before has given it back.
#[test]
fn a_thread_that_panics_in_a_mutation_gives_its_processor_to_who_waits() {
    const THREADS: usize = 6;
    let heap = heap_of(1);
    let ledger = Ledger::new(THREADS + 1);
    let (coming, come) = channel();
    thread::scope(|scope| {
        let threads: Vec<_> = heap.mutate(|mu| {
            mu.alloc(ledger.counted(THREADS));
            let threads = (0..THREADS)
                .map(|thread| {
                    let (heap, ledger, coming) = (&heap, &ledger, coming.clone());
                    scope.spawn(move || {
                        coming.send(()).expect("the test waits");
                        heap.mutate(|mu| {
                            let _root = mu.root(mu.alloc(ledger.counted(thread)));
                            let mut pinner = Pinner::new();
                            pinner.pin(mu, mu.alloc(Triple::of(1)));
                            assert!(thread % 2 == 0, "a thread that panics");
                        });
                    })
                })
                .collect();
            for _ in 0..THREADS {
                come.recv().expect("the threads come");
            }
            while heap.stats().waits == 0 {
                thread::yield_now();
            }
            threads
        });
        for (number, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().is_ok(), number % 2 == 0);
        }
    });
    churn(&heap, 1000);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

/// Threads end, well and by a panic, while others mutate, wait for processors and collect.
#[test]
fn threads_come_and_go_around_cycles() {
    const THREADS: usize = 200;
    let heap = heap_of(2);
    let ledger = Ledger::new(3 * THREADS);
    let stop = Stop::default();
    let mut panics = 0;
    thread::scope(|scope| {
        let _at_end = stop.on_drop();
        scope.spawn(|| stop.until(|| heap.collect()));
        for first in (0..THREADS).step_by(4) {
            let threads: Vec<_> = (first..first + 4)
                .map(|thread| {
                    let (heap, ledger) = (&heap, &ledger);
                    scope.spawn(move || {
                        if thread % 3 == 0 {
                            hold_in_this_thread(heap, ledger, 3 * thread);
                        } else {
                            (0..2).for_each(|entry| heap.mutate(|mu| _ = mu.alloc(ledger.counted(3 * thread + entry))));
                        }
                        heap.mutate(|mu| {
                            let _root = mu.root(mu.alloc(ledger.counted(3 * thread + 2)));
                            assert!(thread % 5 != 0, "a thread that panics");
                        });
                    })
                })
                .collect();
            panics += threads.into_iter().map(|thread| usize::from(thread.join().is_err())).sum::<usize>();
        }
    });
    assert_eq!(panics, THREADS / 5);
    while ledger.total() < 3 * THREADS as u64 {
        heap.collect();
    }
    ledger.assert_each_once();
    heap.collect();
    assert_nothing_live(&heap);
}

/// The process ends under threads that mutate, wait for processors and collect; that is no crash and no hang.
#[test]
fn a_process_may_end_while_detached_threads_use_a_heap() {
    for _ in 0..5 {
        let said = in_own_process("thread_ends::a_process_may_end_while_detached_threads_use_a_heap", || {
            let heap = Arc::new(heap_of(2));
            let (busy, is_busy) = channel();
            for _ in 0..4 {
                let (heap, busy) = (Arc::clone(&heap), busy.clone());
                thread::spawn(move || {
                    loop {
                        churn(&heap, 1000);
                        heap.collect();
                        let _ = busy.send(());
                    }
                });
            }
            drop(heap);
            (0..8).for_each(|_| is_busy.recv().expect("the threads go on"));
        })
        .well();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// The last handle of a heap is a detached thread's, whose end is the heap's.
#[test]
fn a_detached_thread_may_end_the_heap() {
    #[derive(Trace)]
    struct Told {
        counted: Counted,
    }
    let heap = Arc::new(heap_of(1));
    let ledger = Ledger::new(100);
    let root = heap.mutate(|mu| mu.root(mu.alloc(Told { counted: ledger.counted(0) })));
    let (go_on, may_go_on) = channel::<()>();
    {
        let (heap, ledger) = (Arc::clone(&heap), ledger.clone());
        thread::spawn(move || {
            may_go_on.recv().expect("the test lets it");
            for entry in 1..100 {
                heap.mutate(|mu| _ = mu.alloc(Told { counted: ledger.counted(entry) }));
            }
            heap.mutate(|mu| assert_eq!(root.get(mu).counted.entry(), 0));
        });
    }
    drop(heap);
    go_on.send(()).expect("the thread waits");
    while ledger.total() < 100 {
        thread::yield_now();
    }
    ledger.assert_each_once();
}
