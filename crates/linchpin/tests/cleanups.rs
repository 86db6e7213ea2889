//! Cleanups: what Go's tests of `AddCleanup` and of finalizers ask for, as far as it has a meaning here, and more.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Counted, Ledger};
use linchpin::{DebugSettings, Gc, GcCell, GcMutex, Heap, Pinner, Root, Trace, WeakRoot};

fn heap() -> Heap {
    Heap::builder().processors(2).build().expect("a heap of two processors")
}

/// What has been sent, as soon as there are so many; fails if there are more.
fn exactly<T>(receiver: &Receiver<T>, count: usize) -> Vec<T> {
    let got: Vec<T> = receiver.iter().take(count).collect();
    assert_eq!(got.len(), count, "the senders are gone");
    assert!(receiver.try_recv().is_err(), "one too many");
    got
}

#[test]
fn a_cleanup_runs_once_when_its_object_is_gone() {
    let heap = heap();
    let ledger = Ledger::new(1);
    let (sender, receiver) = channel();
    let (root, weak): (_, WeakRoot<Counted>) = heap.mutate(|mu| {
        let object = mu.alloc(ledger.counted(0));
        let weak = mu.weak_root(object);
        let (ledger, seen) = (ledger.clone(), weak.clone());
        mu.on_collect(object, move |heap| {
            // Its value has been dropped, and weak pointers to it are cleared.
            assert_eq!(ledger.drops_of(0), 1);
            heap.mutate(|mu| assert!(seen.upgrade(mu).is_none()));
            sender.send(7).unwrap();
        });
        (mu.root(object), weak)
    });
    heap.collect();
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_some()));
    assert!(receiver.try_recv().is_err(), "the object is alive");
    drop(root);
    heap.collect();
    assert_eq!(exactly(&receiver, 1), [7]);
    heap.collect();
    assert!(receiver.try_recv().is_err());
    drop(heap);
    assert!(receiver.recv().is_err(), "it is gone with what it held");
}

#[test]
fn a_pinned_object_is_not_cleaned_up() {
    let heap = heap();
    let (sender, receiver) = channel();
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        mu.on_collect(object, move |_| sender.send(()).unwrap());
        pinner.pin(mu, object);
    });
    heap.collect();
    heap.collect();
    assert!(receiver.try_recv().is_err(), "it is pinned");
    pinner.unpin();
    heap.collect();
    exactly(&receiver, 1);
}

/// Objects of every kind can have cleanups: of size zero, slices, large ones.
#[test]
fn every_kind_of_object_is_cleaned_up() {
    let heap = heap();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        let send = |number| {
            let sender = sender.clone();
            move |_: &Heap| sender.send(number).unwrap()
        };
        mu.on_collect(mu.alloc(()), send(0));
        mu.on_collect(mu.alloc_str("text"), send(1));
        mu.on_collect(mu.alloc_slice_copy(&[0_u64; 0]), send(2));
        mu.on_collect(mu.alloc([0_u64; 10_000]), send(3));
        mu.on_collect(mu.alloc("dropped".to_owned()), send(4));
    });
    heap.collect();
    let mut got = exactly(&receiver, 5);
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3, 4]);
}

#[test]
fn the_cleanups_of_an_object_run_in_order() {
    let heap = heap();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        for number in 0..100 {
            let sender = sender.clone();
            mu.on_collect(object, move |_| sender.send(number).unwrap());
        }
    });
    heap.collect();
    assert_eq!(exactly(&receiver, 100), Vec::from_iter(0..100));
}

#[derive(Trace)]
struct Ring<'gc> {
    next: GcCell<'gc, Ring<'gc>>,
}

/// Where a finalizer would have to keep what it gets, and a ring of finalizers would never be collected.
#[test]
fn objects_that_lead_to_each_other_are_cleaned_up() {
    let heap = heap();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        let ring = [(); 3].map(|()| mu.alloc(Ring { next: GcCell::null() }));
        for index in 0..3 {
            ring[index].next.store(mu, ring[(index + 1) % 3]);
            let sender = sender.clone();
            mu.on_collect(ring[index], move |_| sender.send(index).unwrap());
        }
    });
    heap.collect();
    let mut got = exactly(&receiver, 3);
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2]);
}

#[test]
fn a_cancelled_cleanup_does_not_run() {
    let heap = heap();
    let (sender, receiver) = channel();
    let held = Arc::new(());
    let [kept, cancelled] = heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        [1, 2].map(|number| {
            let (sender, held) = (sender.clone(), Arc::clone(&held));
            mu.on_collect(object, move |_| {
                sender.send(number).unwrap();
                drop(held);
            })
        })
    });
    assert_eq!(Arc::strong_count(&held), 3);
    assert!(cancelled.cancel());
    assert_eq!(Arc::strong_count(&held), 2, "what it held was dropped");
    heap.collect();
    assert_eq!(exactly(&receiver, 1), [1]);
    assert!(!kept.cancel(), "it has run");
    let late = heap.mutate(|mu| mu.on_collect(mu.alloc(7_u64), |_| ()));
    drop(heap);
    assert!(!late.cancel(), "the heap is gone");
}

/// One that waits in the queue can be cancelled still; one that runs cannot.
#[test]
fn a_queued_cleanup_can_be_cancelled() {
    let heap = heap();
    let (sender, receiver) = channel();
    let (go_on, wait) = channel::<()>();
    let first = heap.mutate(|mu| {
        let sender = sender.clone();
        mu.on_collect(mu.alloc(7_u64), move |_| {
            sender.send(1).unwrap();
            wait.recv().unwrap();
        })
    });
    heap.collect();
    assert_eq!(receiver.recv(), Ok(1));
    let second = heap.mutate(|mu| mu.on_collect(mu.alloc(8_u64), move |_| sender.send(2).unwrap()));
    heap.collect();
    assert!(second.cancel(), "it waits for the first one to end");
    assert!(!first.cancel(), "it runs");
    go_on.send(()).unwrap();
    heap.mutate(|mu| _ = mu.on_collect(mu.alloc(9_u64), |_| ()));
    heap.collect();
    drop(heap);
    assert!(receiver.recv().is_err());
}

#[test]
fn a_panic_in_a_cleanup_concerns_no_other() {
    let heap = heap();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        for number in 0..10 {
            let sender = sender.clone();
            mu.on_collect(object, move |heap| {
                sender.send(number).unwrap();
                heap.mutate(|_| assert!(number % 2 == 0, "a cleanup that panics"));
            });
        }
    });
    heap.collect();
    assert_eq!(exactly(&receiver, 10), Vec::from_iter(0..10));
    heap.mutate(|mu| _ = mu.on_collect(mu.alloc(8_u64), move |heap| sender.send(heap.stats().cleanup_panics).unwrap()));
    heap.collect();
    assert_eq!(receiver.recv(), Ok(5));
    heap.verify().unwrap();
}

/// A cleanup may allocate, make roots, pin, and wait for a cycle; and register further ones.
#[test]
fn a_cleanup_may_use_the_heap() {
    #[derive(Trace)]
    struct Log<'gc> {
        lines: GcMutex<Vec<Gc<'gc, str>>>,
    }
    let heap = heap();
    let (sender, receiver) = channel();
    let log: Root<Log<'static>> = heap.mutate(|mu| mu.root(mu.alloc(Log { lines: GcMutex::default() })));
    heap.mutate(|mu| {
        let log = log.clone();
        mu.on_collect(mu.alloc(7_u64), move |heap| {
            let mut pinner = Pinner::new();
            let inner = sender.clone();
            heap.mutate(|mu| {
                let line = mu.alloc_str("collected");
                pinner.pin(mu, line);
                log.get(mu).lines.lock(mu).push(line);
                mu.on_collect(mu.alloc(8_u64), move |heap| inner.send(heap.id()).unwrap());
            });
            heap.collect();
            pinner.unpin();
            sender.send(heap.id()).unwrap();
        });
    });
    heap.collect();
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(heap.id()), Ok(heap.id())]);
    heap.mutate(|mu| assert_eq!(&*log.get(mu).lines.lock(mu)[0], "collected"));
}

/// A cleanup that keeps its own object is never due: documented, and no error.
#[test]
fn a_cleanup_that_keeps_its_object_waits_for_ever() {
    let heap = heap();
    let ran = Arc::new(AtomicBool::new(false));
    let cleanup = heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        let (root, ran) = (mu.root(object), Arc::clone(&ran));
        mu.on_collect(object, move |_| {
            ran.store(true, Ordering::SeqCst);
            drop(root);
        })
    });
    heap.collect();
    heap.collect();
    assert!(!ran.load(Ordering::SeqCst));
    assert!(cleanup.cancel(), "which drops the root");
    heap.collect();
    assert_eq!(heap.stats().live_objects, 0);
}

#[test]
fn the_end_of_a_heap_runs_what_is_due() {
    let ledger = Ledger::new(3);
    let (sender, receiver) = channel();
    let heap = heap();
    let kept: Root<Counted> = heap.mutate(|mu| {
        let objects = [0, 1, 2].map(|entry| mu.alloc(ledger.counted(entry)));
        for (entry, object) in objects.into_iter().enumerate() {
            let sender = sender.clone();
            mu.on_collect(object, move |heap| {
                // The heap works still, and can collect.
                heap.mutate(|mu| assert_eq!(*mu.alloc(entry), entry));
                heap.collect();
                sender.send((entry, thread::current().id())).unwrap();
            });
        }
        mu.root(objects[2])
    });
    drop(heap);
    let here = thread::current().id();
    let mut got = exactly(&receiver, 2);
    got.sort_unstable_by_key(|&(entry, _)| entry);
    assert_eq!(got, [(0, here), (1, here)], "before the drop has returned, by who drops");
    ledger_is(&ledger, [1, 1, 0]);
    // The last thing that keeps the third.
    let elsewhere = thread::spawn(move || {
        drop(kept);
        thread::current().id()
    });
    let elsewhere = elsewhere.join().unwrap();
    assert_eq!(exactly(&receiver, 1), [(2, elsewhere)]);
    ledger.assert_each_once();
}

fn ledger_is(ledger: &Ledger, drops: [u32; 3]) {
    assert_eq!([0, 1, 2].map(|entry| ledger.drops_of(entry)), drops);
}

/// A cleanup that lets go of a root after the heap's end: what that kept is collected, and cleaned up.
#[test]
fn cleanups_may_follow_from_one_another_at_the_end() {
    const LENGTH: usize = 50;
    let heap = heap();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        let mut kept: Option<Root<u64>> = None;
        for number in 0..LENGTH {
            let object = mu.alloc(number as u64);
            let (sender, keeps) = (sender.clone(), kept.take());
            mu.on_collect(object, move |_| {
                drop(keeps);
                sender.send(number).unwrap();
            });
            kept = Some(mu.root(object));
        }
    });
    drop(heap);
    assert_eq!(exactly(&receiver, LENGTH), Vec::from_iter((0..LENGTH).rev()));
}

/// What is queued, and what runs, when the heap is dropped comes to its end first.
#[test]
fn dropping_a_heap_waits_for_the_cleanup_that_runs() {
    let heap = heap();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        for number in 0..20 {
            let sender = sender.clone();
            mu.on_collect(mu.alloc(number), move |heap| {
                heap.collect();
                sender.send(number).unwrap();
            });
        }
    });
    heap.collect();
    drop(heap);
    drop(sender);
    assert_eq!(receiver.iter().count(), 20);
}

/// The last owner of the heap is a cleanup of its own.
#[test]
fn a_cleanup_may_drop_the_heap() {
    let heap = Arc::new(heap());
    let ledger = Ledger::new(1);
    let (sender, receiver) = channel();
    let owner: Arc<Mutex<Option<Arc<Heap>>>> = Arc::default();
    heap.mutate(|mu| {
        let (owner, first, second) = (Arc::clone(&owner), sender.clone(), sender.clone());
        mu.on_collect(mu.alloc(7_u64), move |lent| {
            let heap = owner.lock().unwrap().take().unwrap();
            assert_eq!(heap.id(), lent.id());
            // Until it is the last.
            while Arc::strong_count(&heap) != 1 {
                thread::yield_now();
            }
            drop(heap);
            first.send("dropped").unwrap();
        });
        mu.on_collect(mu.alloc(ledger.counted(0)), move |_| second.send("other").unwrap());
    });
    *owner.lock().unwrap() = Some(Arc::clone(&heap));
    heap.collect();
    drop(heap);
    let mut got = exactly(&receiver, 2);
    got.sort_unstable();
    assert_eq!(got, ["dropped", "other"]);
    ledger.assert_each_once();
}

/// A value's `Drop`, on the collector's thread, is what drops the heap, while a cleanup is about to wait for a cycle of it.
#[test]
fn a_drop_may_end_a_heap_with_cleanups() {
    type Owned = (Sender<()>, Receiver<()>, Arc<Heap>);
    #[derive(Trace)]
    struct Owner(Mutex<Option<Owned>>);
    impl Drop for Owner {
        fn drop(&mut self) {
            if let Some((begun, alone, heap)) = self.0.get_mut().unwrap().take() {
                begun.send(()).unwrap();
                alone.recv().unwrap();
                assert_eq!(Arc::strong_count(&heap), 1);
            }
        }
    }
    // A cycle is asked for at each allocation.
    let debug = DebugSettings::new().collect_every(1);
    let heap = Arc::new(Heap::builder().processors(2).debug(debug).build().expect("a heap of two processors"));
    let (sender, receiver) = channel();
    let (runs, cleanup_runs) = channel();
    let (go_on, wait) = channel::<()>();
    heap.mutate(|mu| {
        let sender = sender.clone();
        mu.on_collect(mu.alloc(7_u64), move |heap| {
            runs.send(()).unwrap();
            wait.recv().unwrap();
            heap.collect();
            sender.send("waited").unwrap();
        });
    });
    heap.collect();
    cleanup_runs.recv().unwrap();
    let (begun, drop_has_begun) = channel();
    let (alone, is_alone) = channel();
    heap.mutate(|mu| {
        mu.on_collect(mu.alloc(8_u64), move |_| sender.send("second").unwrap());
        mu.alloc(Owner(Mutex::new(Some((begun, is_alone, Arc::clone(&heap))))));
    });
    while drop_has_begun.try_recv().is_err() {
        heap.mutate(|mu| _ = mu.alloc(9_u64));
        thread::yield_now();
    }
    drop(heap);
    alone.send(()).unwrap();
    go_on.send(()).unwrap();
    let mut got = exactly(&receiver, 2);
    got.sort_unstable();
    assert_eq!(got, ["second", "waited"]);
}

/// In a mutation, where the heap could not end before that has.
#[test]
fn a_cleanup_may_drop_the_heap_in_a_mutation() {
    let heap = Arc::new(heap());
    let ledger = Ledger::new(2);
    let (sender, receiver) = channel();
    let owner: Arc<Mutex<Option<Arc<Heap>>>> = Arc::default();
    heap.mutate(|mu| {
        let (owner, first, second) = (Arc::clone(&owner), sender.clone(), sender.clone());
        let object = mu.alloc(7_u64);
        let counted = ledger.counted(1);
        mu.on_collect(object, move |lent| {
            let heap = owner.lock().unwrap().take().unwrap();
            lent.mutate(|mu| {
                while Arc::strong_count(&heap) != 1 {
                    thread::yield_now();
                }
                drop(heap);
                assert_eq!(*mu.alloc(7_u64), 7);
            });
            first.send("dropped").unwrap();
        });
        // Queued, and run before the heap ends; what it makes is dropped then.
        mu.on_collect(object, move |lent| {
            lent.mutate(|mu| {
                let mut pinner = Pinner::new();
                pinner.pin(mu, mu.alloc(counted));
                pinner.unpin();
            });
        });
        mu.on_collect(mu.alloc(ledger.counted(0)), move |_| second.send("other").unwrap());
    });
    *owner.lock().unwrap() = Some(Arc::clone(&heap));
    heap.collect();
    drop((heap, sender));
    let mut got: Vec<_> = receiver.iter().collect();
    got.sort_unstable();
    assert_eq!(got, ["dropped", "other"]);
    // The thread, which ends the heap, is not ours to join.
    while ledger.total() != 2 {
        thread::yield_now();
    }
    ledger.assert_each_once();
}

/// Roots that come and go in a cleanup, of a heap that has ended: within a mutation, too.
#[test]
fn a_cleanup_at_the_end_may_drop_roots_in_a_mutation() {
    let heap = heap();
    let ledger = Ledger::new(3);
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        let kept = mu.root(mu.alloc(ledger.counted(0)));
        let [within, weak] = [1, 2].map(|entry| ledger.counted(entry));
        mu.on_collect(mu.alloc(7_u64), move |heap| {
            heap.mutate(|mu| {
                drop(mu.root(mu.alloc(within)));
                drop(mu.weak_root(mu.alloc(weak)));
                drop(kept);
            });
            heap.collect();
            sender.send(heap.stats().live_objects).unwrap();
        });
    });
    drop(heap);
    assert_eq!(exactly(&receiver, 1), [0]);
    ledger.assert_each_once();
}

/// One that registers itself anew, to hear of each cycle, does not keep the heap from ending.
#[test]
fn a_cleanup_that_comes_again_ends_with_the_heap() {
    fn arm(heap: &Heap, count: Arc<AtomicU64>) {
        heap.mutate(|mu| {
            let object = mu.alloc(7_u64);
            mu.on_collect(object, move |heap| {
                count.fetch_add(1, Ordering::SeqCst);
                arm(heap, count);
            });
        });
    }
    let heap = heap();
    let count = Arc::new(AtomicU64::new(0));
    arm(&heap, Arc::clone(&count));
    for _ in 0..5 {
        heap.collect();
    }
    drop(heap);
    assert!((1..=6).contains(&count.load(Ordering::SeqCst)), "{count:?}");
    assert_eq!(Arc::strong_count(&count), 1, "what was registered too late is dropped");
}

/// A cleanup that is due when a value's `Drop`, in a sweep, lets go of something runs after that sweep: it may pin, collect, verify.
#[test]
fn no_cleanup_runs_in_the_midst_of_a_sweep() {
    #[derive(Trace)]
    struct Chain(Mutex<Option<Root<Chain>>>);
    let heap = heap();
    let (sender, receiver) = channel();
    let first: Root<Chain> = heap.mutate(|mu| {
        let mut next = None;
        for number in 0..3 {
            let object = mu.alloc(Chain(Mutex::new(next.take())));
            let sender = sender.clone();
            mu.on_collect(object, move |heap| {
                let mut pinner = Pinner::new();
                heap.mutate(|mu| pinner.pin(mu, mu.alloc(number)));
                heap.collect();
                heap.verify().unwrap();
                drop(pinner);
                sender.send(number).unwrap();
            });
            next = Some(mu.root(object));
        }
        next.unwrap()
    });
    drop(heap);
    assert!(receiver.try_recv().is_err());
    drop(first);
    assert_eq!(exactly(&receiver, 3), [2, 1, 0]);
}

/// Many, by several threads, through many cycles: each runs once, after its object is dropped.
#[test]
fn many_cleanups_run_once_each() {
    const EACH: usize = 5000;
    let heap = heap();
    let ledger = Ledger::new(2 * EACH);
    let counts: Arc<Vec<AtomicU64>> = Arc::new((0..2 * EACH).map(|_| AtomicU64::new(0)).collect());
    let cancelled = AtomicU64::new(0);
    thread::scope(|scope| {
        for part in 0..2 {
            let (heap, ledger, counts, cancelled) = (&heap, &ledger, &counts, &cancelled);
            scope.spawn(move || {
                for entry in part * EACH..(part + 1) * EACH {
                    let cleanup = heap.mutate(|mu| {
                        let (dropped, counts) = (ledger.clone(), Arc::clone(counts));
                        mu.on_collect(mu.alloc(ledger.counted(entry)), move |_| {
                            assert_eq!(dropped.drops_of(entry), 1);
                            counts[entry].fetch_add(1, Ordering::SeqCst);
                        })
                    });
                    if entry % 3 == 0 && cleanup.cancel() {
                        cancelled.fetch_add(1, Ordering::SeqCst);
                        counts[entry].fetch_add(1, Ordering::SeqCst);
                    }
                    if entry % 500 == 0 {
                        heap.collect();
                    }
                }
            });
        }
    });
    drop(heap);
    ledger.assert_each_once();
    assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    assert!(cancelled.into_inner() > 0);
}
