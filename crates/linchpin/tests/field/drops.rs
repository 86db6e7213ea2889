//! `Drop` of swept values: what it can reach, and what it must not.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;

use linchpin::{Gc, GcCell, Heap, Opaque, Pinner, Root, Trace};

use crate::common::{Counted, Ledger, Stop, assert_nothing_live, churn};

#[derive(Trace)]
struct Node<'gc> {
    counted: Counted,
    next: GcCell<'gc, Node<'gc>>,
}

/// dumpster #48, #50: what a `Drop` allocated was forgotten by the collector, a cycle above all.
#[test]
fn what_a_drop_makes_is_collected_in_its_turn() {
    #[derive(Trace)]
    struct Maker {
        heap: Weak<Heap>,
        ledger: Opaque<Ledger>,
        first: usize,
    }
    impl Drop for Maker {
        fn drop(&mut self) {
            let Some(heap) = self.heap.upgrade() else { return };
            let mut pinner = Pinner::new();
            let root = heap.mutate(|mu| {
                // A ring of two, one of them rooted and one pinned for as long as this runs.
                let node = |entry: usize| {
                    mu.alloc(Node { counted: self.ledger.counted(self.first + entry), next: GcCell::null() })
                };
                let (one, two) = (node(0), node(1));
                one.next.store(mu, two);
                two.next.store(mu, one);
                pinner.pin(mu, two);
                mu.root(one)
            });
            heap.mutate(|mu| {
                let two = root.get(mu).next.load().expect("the ring is closed");
                assert_eq!(two.counted.entry(), self.first + 1);
                assert_eq!(mu.pin_count(two), 1);
            });
        }
    }
    let heap = Arc::new(Heap::builder().processors(2).build().expect("a heap of two processors"));
    let ledger = Ledger::new(200);
    heap.mutate(|mu| {
        for maker in 0..100 {
            mu.alloc(Maker { heap: Arc::downgrade(&heap), ledger: Opaque(ledger.clone()), first: maker * 2 });
        }
    });
    heap.collect();
    assert_eq!(heap.stats().drop_panics, 0);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

/// rust-gc #124: what a finalizer linked back to a root was freed all the same. A `Drop` has no pointers to link; it can save
/// what it has roots of, and that stays.
#[test]
fn what_a_drop_saves_stays() {
    static SAVED: Mutex<Vec<Root<Node<'static>>>> = Mutex::new(Vec::new());
    #[derive(Trace)]
    struct Saver {
        friend: Option<Root<Node<'static>>>,
    }
    impl Drop for Saver {
        fn drop(&mut self) {
            SAVED.lock().expect("nobody panics with it").extend(self.friend.take());
        }
    }
    let heap = Heap::new();
    let ledger = Ledger::new(100);
    heap.mutate(|mu| {
        for entry in (0..100).step_by(2) {
            let node = |entry, next| mu.alloc(Node { counted: ledger.counted(entry), next });
            let friend = node(entry, GcCell::new(node(entry + 1, GcCell::null())));
            mu.alloc(Saver { friend: Some(mu.root(friend)) });
        }
    });
    for _ in 0..4 {
        heap.collect();
        churn(&heap, 2000);
    }
    let saved = std::mem::take(&mut *SAVED.lock().expect("nobody panics with it"));
    assert_eq!((saved.len(), ledger.total()), (50, 0));
    heap.mutate(|mu| {
        for root in &saved {
            let friend = root.get(mu);
            let next = friend.next.load().expect("it was stored");
            assert_eq!(friend.counted.entry() + 1, next.counted.entry());
        }
    });
    drop(saved);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

/// The nearest thing to a resurrection: an object that roots itself is not dropped, as a ring of `Arc`s is not, and the heap
/// counts the root; taken out, it is dropped once.
#[test]
fn an_object_that_roots_itself_waits_until_it_is_let_go() {
    #[derive(Trace)]
    struct Selfish {
        counted: Counted,
        own: Mutex<Option<Root<Selfish>>>,
    }
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let root: Root<Selfish> = heap.mutate(|mu| {
        let selfish = mu.alloc(Selfish { counted: ledger.counted(0), own: Mutex::new(None) });
        *selfish.own.lock().expect("nobody panics with it") = Some(mu.root(selfish));
        mu.root(selfish)
    });
    heap.collect();
    let own = heap.mutate(|mu| {
        let selfish = root.get(mu);
        assert_eq!(selfish.counted.entry(), 0);
        selfish.own.lock().expect("nobody panics with it").take()
    });
    drop(root);
    heap.collect();
    ledger.assert_none();
    assert_eq!(heap.stats().roots, 1);
    drop(own);
    heap.collect();
    ledger.assert_each_once();
}

/// Alloy #96: a finalizer ran on the thread that had allocated, and waited for a lock which that very thread held. Here no
/// value is dropped inside an allocation: the collector's thread waits for the lock, and whoever holds it goes on, through any
/// number of mutations (only `Heap::collect` would have to wait, too).
#[test]
fn a_drop_that_waits_for_a_lock_holds_up_nobody() {
    #[derive(Trace)]
    struct Locks {
        counted: Counted,
        lock: Arc<Mutex<u64>>,
        begun: Opaque<Sender<()>>,
    }
    impl Drop for Locks {
        fn drop(&mut self) {
            let _ = self.begun.send(());
            *self.lock.lock().expect("nobody panics with it") += 1;
            assert!(self.counted.entry() < 500);
        }
    }
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(500);
    let lock = Arc::new(Mutex::new(0));
    let (begun, has_begun) = channel();
    let held = lock.lock().expect("nobody panics with it");
    heap.mutate(|mu| {
        for entry in 0..500 {
            mu.alloc(Locks { counted: ledger.counted(entry), lock: Arc::clone(&lock), begun: Opaque(begun.clone()) });
        }
    });
    let mut rounds = 0;
    while has_begun.try_recv().is_err() {
        churn(&heap, 10_000);
        rounds += 1;
        assert!(rounds < 100_000, "gigabytes of garbage started no cycle");
    }
    // The collector's thread stands in a `Drop`, in the middle of a sweep.
    let work = Ledger::new(100);
    let roots: Vec<Root<Node<'static>>> = (0..100)
        .map(|entry| {
            churn(&heap, 1000);
            heap.mutate(|mu| {
                let node = mu.alloc(Node { counted: work.counted(entry), next: GcCell::null() });
                node.next.store(mu, node);
                mu.root(node)
            })
        })
        .collect();
    assert_eq!(ledger.total(), 0, "the first one waits for the lock");
    drop(held);
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(*lock.lock().expect("nobody panics with it"), 500);
    work.assert_none();
    drop(roots);
    heap.collect();
    work.assert_each_once();
}

/// shredder #49: an atomic load found the metadata of its object freed. Here an object's metadata are found by its address and
/// live as long as the heap. Threads load and replace one field while the collector frees what they throw out of it.
#[test]
fn metadata_outlive_every_load() {
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let numbers = AtomicUsize::new(0);
    let cell: Root<GcCell<'static, [usize]>> =
        heap.mutate(|mu| mu.root(mu.alloc(GcCell::new(mu.alloc_slice_copy(&[0_usize])))));
    let stop = Stop::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                stop.until(|| {
                    heap.mutate(|mu| {
                        let cell = cell.get(mu);
                        let number = numbers.fetch_add(1, Ordering::Relaxed);
                        cell.store(mu, mu.alloc_slice_with(number % 64 + 1, |_| number));
                        let held = cell.load().expect("it is never empty");
                        let mut pinner = Pinner::new();
                        pinner.pin(mu, held);
                        assert!(mu.is_pinned(held) && heap.is_pinned(Gc::as_ptr(held)));
                        assert!(held.iter().all(|&element| element == held[0]));
                    });
                });
            });
        }
        let _stop = stop.on_drop();
        for _ in 0..100 {
            heap.collect();
        }
    });
    drop(cell);
    heap.collect();
    assert_nothing_live(&heap);
}

static LEFT: OnceLock<Ledger> = OnceLock::new();

/// Found here: a panic that unwound past a heap was taken for one of the collector, since the heap's last cycle runs on the
/// thread that drops it, and ended the process. Values are dropped as ever, and one that panics is still contained.
#[test]
fn a_heap_may_be_dropped_by_a_panic() {
    #[derive(Trace)]
    struct Grumpy {
        counted: Counted,
    }
    impl Drop for Grumpy {
        fn drop(&mut self) {
            assert!(self.counted.entry().is_multiple_of(2), "a drop that panics on purpose");
        }
    }
    let ledger = LEFT.get_or_init(|| Ledger::new(12));
    let survived = AtomicBool::new(false);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // Dropped after the heap, so that it is the root that lets the heap go.
        let _last: Root<Grumpy>;
        let heap = Heap::builder().processors(8).build().expect("a heap of eight processors");
        _last = heap.mutate(|mu| {
            for entry in 0..10 {
                mu.alloc(Grumpy { counted: ledger.counted(entry) });
            }
            mu.root(mu.alloc(Grumpy { counted: ledger.counted(10) }))
        });
        let _root = heap.mutate(|mu| mu.root(mu.alloc(Grumpy { counted: ledger.counted(11) })));
        heap.collect();
        survived.store(true, Ordering::SeqCst);
        panic!("a panic with a heap on the stack");
    }));
    assert!(outcome.is_err() && survived.load(Ordering::SeqCst));
    ledger.assert_each_once();
}
