//! `Drop` of swept values: where it runs, what it may do, and that no misuse of it (a panic, a
//! `collect`, the last handle of the heap itself) stops the collector.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use common::{Counted, Ledger, Triple, assert_nothing_live, churn, panic_text};
use linchpin::{Heap, Root, Trace};

#[test]
fn a_drop_that_panics_is_contained() {
    #[derive(Trace)]
    struct Grumpy {
        counted: Counted,
    }
    impl Drop for Grumpy {
        fn drop(&mut self) {
            assert!(self.counted.entry() % 10 != 3, "a drop that panics on purpose");
        }
    }
    let heap = Heap::new();
    let ledger = Ledger::new(100);
    heap.mutate(|mu| {
        for entry in 0..100 {
            mu.alloc(Grumpy { counted: ledger.counted(entry) });
        }
    });
    heap.collect();
    // The panic unwinds out of one value, whose fields are dropped all the same.
    ledger.assert_each_once();
    churn(&heap, 5000);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

#[test]
fn values_are_dropped_off_the_mutating_threads() {
    #[derive(Trace)]
    struct Told {
        by: Mutex<Sender<thread::ThreadId>>,
    }
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.by.lock().expect("nobody panics with it").send(thread::current().id());
        }
    }
    let heap = Heap::new();
    let (sender, receiver) = channel();
    heap.mutate(|mu| {
        for _ in 0..100 {
            mu.alloc(Told { by: Mutex::new(sender.clone()) });
        }
    });
    heap.collect();
    let droppers: Vec<_> = receiver.try_iter().collect();
    assert_eq!(droppers.len(), 100);
    assert!(droppers.iter().all(|&dropper| dropper != thread::current().id()));
}

#[test]
fn a_drop_may_use_the_heap_it_is_swept_from() {
    static MADE_IN_DROP: AtomicU64 = AtomicU64::new(0);
    #[derive(Trace)]
    struct Phoenix {
        heap: Weak<Heap>,
    }
    impl Drop for Phoenix {
        fn drop(&mut self) {
            if let Some(heap) = self.heap.upgrade() {
                heap.mutate(|mu| _ = mu.alloc(Triple::of(1)));
                MADE_IN_DROP.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let heap = Arc::new(Heap::new());
    heap.mutate(|mu| {
        for _ in 0..10 {
            mu.alloc(Phoenix { heap: Arc::downgrade(&heap) });
        }
    });
    heap.collect();
    assert_eq!(MADE_IN_DROP.load(Ordering::SeqCst), 10);
    heap.collect();
    assert_nothing_live(&heap);
}

#[test]
fn a_drop_that_collects_is_refused() {
    static TEXT: Mutex<String> = Mutex::new(String::new());
    #[derive(Trace)]
    struct Collects {
        heap: Weak<Heap>,
    }
    impl Drop for Collects {
        fn drop(&mut self) {
            let heap = self.heap.upgrade().expect("the test holds the heap");
            *TEXT.lock().expect("nobody panics with it") = panic_text(|| heap.collect());
        }
    }
    let heap = Arc::new(Heap::new());
    heap.mutate(|mu| _ = mu.alloc(Collects { heap: Arc::downgrade(&heap) }));
    heap.collect();
    let text = TEXT.lock().expect("nobody panics with it").clone();
    assert!(text.contains("collect"), "{text}");
    churn(&heap, 1000);
    heap.collect();
    assert_eq!(heap.stats().live_bytes, 0);
}

/// An object that keeps another one by a root.
#[derive(Trace)]
struct Owner {
    counted: Counted,
    next: Option<Root<Owner>>,
}

const CHAIN: usize = 5;

/// A root of the first of some owners, each of which holds the root of the next.
fn chain_of_roots(heap: &Heap, ledger: &Ledger) -> Root<Owner> {
    let mut next = None;
    for entry in 0..CHAIN {
        next = Some(heap.mutate(|mu| {
            let counted = ledger.counted(entry);
            mu.root(mu.alloc(Owner { counted, next: next.take() }))
        }));
    }
    next.expect("the chain has links")
}

#[test]
fn roots_in_objects_are_dropped_with_them() {
    let heap = Heap::new();
    let ledger = Ledger::new(CHAIN);
    let first = chain_of_roots(&heap, &ledger);
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        let first = first.get(mu);
        assert_eq!(first.counted.entry(), CHAIN - 1);
        let second = first.next.as_ref().expect("the chain has links").get(mu);
        assert_eq!(second.counted.entry(), CHAIN - 2);
    });
    drop(first);
    // Each link is a root until its owner is dropped: a cycle a link.
    for done in 1..=CHAIN {
        heap.collect();
        assert!(ledger.total() >= done as u64, "{} dropped after {done} cycles", ledger.total());
    }
    ledger.assert_each_once();
    assert_eq!(heap.stats().roots, 0);
}

#[test]
fn a_heap_that_ends_drops_roots_in_objects_to_the_last() {
    let heap = Heap::new();
    let ledger = Ledger::new(CHAIN);
    drop(chain_of_roots(&heap, &ledger));
    drop(heap);
    ledger.assert_each_once();
}

#[test]
fn a_heap_that_ended_drops_roots_in_objects_to_the_last() {
    let heap = Heap::new();
    let ledger = Ledger::new(CHAIN);
    let first = chain_of_roots(&heap, &ledger);
    drop(heap);
    ledger.assert_none();
    drop(first);
    ledger.assert_each_once();
}

#[test]
fn roots_of_another_heap_may_be_dropped_by_a_sweep() {
    let (here, there) = (Heap::new(), Heap::new());
    let ledger = Ledger::new(100);
    for entry in 0..100 {
        let root: Root<Counted> = there.mutate(|mu| mu.root(mu.alloc(ledger.counted(entry))));
        here.mutate(|mu| _ = mu.alloc(root));
    }
    there.collect();
    ledger.assert_none();
    here.collect();
    there.collect();
    ledger.assert_each_once();
}

#[test]
fn the_last_handle_of_a_heap_may_be_dropped_by_its_own_sweep() {
    #[derive(Trace)]
    struct LastHolder {
        heap: Weak<Heap>,
        holds: Mutex<Sender<()>>,
        go_on: Mutex<Receiver<()>>,
        done: Arc<AtomicBool>,
    }
    impl Drop for LastHolder {
        fn drop(&mut self) {
            let Some(heap) = self.heap.upgrade() else { return };
            self.holds.lock().expect("nobody panics with it").send(()).expect("the test waits");
            let _ = self.go_on.lock().expect("nobody panics with it").recv();
            drop(heap);
            self.done.store(true, Ordering::SeqCst);
        }
    }
    let heap = Arc::new(Heap::new());
    let ledger = Ledger::new(10);
    let done = Arc::new(AtomicBool::new(false));
    let (holds, it_holds) = channel();
    let (go_on, may_go_on) = channel();
    heap.mutate(|mu| {
        mu.alloc(LastHolder {
            heap: Arc::downgrade(&heap),
            holds: Mutex::new(holds),
            go_on: Mutex::new(may_go_on),
            done: Arc::clone(&done),
        });
    });
    let mut rounds = 0;
    while it_holds.try_recv().is_err() {
        churn(&heap, 10_000);
        rounds += 1;
        assert!(rounds < 100_000, "gigabytes of garbage started no cycle");
    }
    heap.mutate(|mu| (0..10).for_each(|entry| _ = mu.alloc(ledger.counted(entry))));
    drop(heap);
    ledger.assert_none();
    go_on.send(()).expect("the drop waits");
    // The heap ends on its own thread; nothing tells when but the values it drops.
    while ledger.total() < 10 || !done.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    ledger.assert_each_once();
}
