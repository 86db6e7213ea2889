//! The Pinner's behaviour: what Go's own tests ask of `runtime.Pinner`, and what Linchpin adds
//! (exact counts, interior addresses, pins that change threads).

#![cfg(not(loom))]

mod common;

use std::ptr::NonNull;
use std::thread;

use common::{Counted, Ledger, Stop, Triple, churn};
use linchpin::{Gc, GcCell, Heap, Pinner, Trace};

#[derive(Trace)]
struct Parent<'gc> {
    child: GcCell<'gc, Counted>,
}

#[test]
fn a_pin_is_seen_until_it_is_undone() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(1));
        let address = Gc::as_ptr(object);
        assert!(!mu.is_pinned(object), "pinned before any pin");
        assert!(!heap.is_pinned(address));
        assert_eq!(mu.pin_count(object), 0);

        let mut pinner = Pinner::new();
        assert!(pinner.is_empty());
        let pinned = pinner.pin(mu, object);
        assert_eq!(pinned.as_ptr().cast_const(), address);
        assert!(mu.is_pinned(object));
        assert!(heap.is_pinned(address));
        assert_eq!(mu.pin_count(object), 1);
        assert_eq!(heap.pin_count(address), 1);
        assert_eq!(pinner.len(), 1);
        assert!(!pinner.is_empty());

        pinner.unpin();
        assert!(!mu.is_pinned(object), "still pinned after unpin");
        assert!(!heap.is_pinned(address));
        assert_eq!(heap.pin_count(address), 0);
        assert!(pinner.is_empty());
        assert_eq!(pinner.len(), 0);
    });
}

#[test]
fn a_pin_keeps_its_object_alive_and_unpin_releases_it() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        let object = mu.alloc(ledger.counted(0));
        pinner.pin(mu, object);
    });
    heap.collect();
    heap.collect();
    ledger.assert_none();

    pinner.unpin();
    heap.collect();
    ledger.assert_each_once();
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_pin_keeps_alive_what_its_object_points_to() {
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let mut pinner = Pinner::new();
    let address = heap.mutate(|mu| {
        let parent = mu.alloc(Parent { child: GcCell::new(mu.alloc(ledger.counted(0))) });
        // The field is changed after the pin: what it holds now counts, not what it held then.
        pinner.pin(mu, parent);
        parent.child.store(mu, mu.alloc(ledger.counted(1)));
        Gc::as_ptr(parent).cast::<u8>().addr()
    });
    heap.collect();
    heap.collect();
    assert_eq!(ledger.drops_of(0), 1, "the unlinked child is garbage");
    assert_eq!(ledger.drops_of(1), 0, "the pinned parent holds this child");
    assert_eq!(heap.pin_count(std::ptr::without_provenance::<u8>(address)), 1);

    drop(pinner);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn many_pins_of_one_object_are_counted_and_undone_at_once() {
    const PINS: u32 = 100;
    let heap = Heap::new();
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(2));
        let mut pinner = Pinner::new();
        for number in 1..=PINS {
            pinner.pin(mu, object);
            assert_eq!(mu.pin_count(object), number);
        }
        assert_eq!(pinner.len(), PINS as usize);
        assert!(mu.is_pinned(object));

        pinner.unpin();
        assert!(!mu.is_pinned(object));
        assert_eq!(mu.pin_count(object), 0);
    });
}

#[test]
fn two_pinners_hold_one_object_independently() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(3));
        let mut first = Pinner::new();
        let mut second = Pinner::new();
        first.pin(mu, object);
        assert_eq!(mu.pin_count(object), 1);
        second.pin(mu, object);
        assert_eq!(mu.pin_count(object), 2);

        first.unpin();
        assert!(mu.is_pinned(object), "the second pinner still holds it");
        assert_eq!(mu.pin_count(object), 1);
        second.unpin();
        assert!(!mu.is_pinned(object));
        assert_eq!(mu.pin_count(object), 0);
    });
}

#[test]
fn a_pinner_can_be_used_again() {
    let heap = Heap::new();
    let ledger = Ledger::new(10);
    let mut pinner = Pinner::new();
    for entry in 0..10 {
        heap.mutate(|mu| {
            let object = mu.alloc(ledger.counted(entry));
            pinner.pin(mu, object);
            assert_eq!(mu.pin_count(object), 1);
        });
        heap.collect();
        assert_eq!(ledger.drops_of(entry), 0);
        pinner.unpin();
        heap.collect();
        assert_eq!(ledger.drops_of(entry), 1, "round {entry} kept a reference");
    }
}

#[test]
fn unpin_of_an_empty_pinner_does_nothing() {
    let heap = Heap::new();
    let mut pinner = Pinner::new();
    pinner.unpin();
    pinner.unpin();
    heap.mutate(|mu| {
        pinner.unpin();
        let object = mu.alloc(Triple::of(8));
        pinner.pin(mu, object);
        pinner.unpin();
        pinner.unpin();
        assert_eq!(mu.pin_count(object), 0, "a second unpin takes nothing away");
    });
    pinner.unpin();
    assert!(pinner.is_empty());
}

#[test]
fn pins_may_be_undone_on_another_thread() {
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let mut unpinned_there = Pinner::new();
    let mut dropped_there = Pinner::new();
    heap.mutate(|mu| {
        unpinned_there.pin(mu, mu.alloc(ledger.counted(0)));
        dropped_there.pin(mu, mu.alloc(ledger.counted(1)));
    });
    heap.collect();
    ledger.assert_none();
    let returned = thread::spawn(move || {
        unpinned_there.unpin();
        drop(dropped_there);
        unpinned_there
    })
    .join()
    .expect("the thread that unpins does not panic");
    assert!(returned.is_empty());
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_pinner_may_collect_pins_on_several_threads() {
    let heap = Heap::new();
    let ledger = Ledger::new(8);
    let mut pinner = Pinner::new();
    for entry in 0..8 {
        pinner = thread::scope(|scope| {
            let (heap, ledger) = (&heap, &ledger);
            scope
                .spawn(move || {
                    heap.mutate(|mu| pinner.pin(mu, mu.alloc(ledger.counted(entry))));
                    pinner
                })
                .join()
                .expect("the thread that pins does not panic")
        });
    }
    assert_eq!(pinner.len(), 8);
    heap.collect();
    ledger.assert_none();
    drop(pinner);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_pinner_may_be_dropped_outside_any_mutation() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let mut pinner = Pinner::new();
    let address = heap.mutate(|mu| {
        Gc::as_ptr({
            let object = mu.alloc(ledger.counted(0));
            pinner.pin(mu, object);
            object
        })
    });
    assert_eq!(heap.pin_count(address), 1);
    drop(pinner);
    assert_eq!(heap.pin_count(address), 0);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn pinned_content_stays_readable_under_churn() {
    const OBJECTS: i64 = 500;
    let heap = Heap::new();
    let mut pinner = Pinner::new();
    let addresses: Vec<NonNull<Triple>> = heap.mutate(|mu| {
        (0..OBJECTS)
            .map(|seed| {
                mu.alloc(Triple::of(-seed));
                pinner.pin(mu, mu.alloc(Triple::of(seed)))
            })
            .collect()
    });
    let stop = Stop::default();
    thread::scope(|scope| {
        let at_end = stop.on_drop();
        scope.spawn(|| stop.until(|| churn(&heap, 1000)));
        for _ in 0..20 {
            heap.collect();
            for (seed, address) in addresses.iter().enumerate() {
                // SAFETY: the object is pinned until the end of this test, and nothing writes to it.
                assert_eq!(unsafe { address.as_ref() }, &Triple::of(seed as i64));
            }
        }
        drop(at_end);
    });
    assert!(addresses.iter().all(|address| heap.pin_count(address.as_ptr().cast_const()) == 1));
    pinner.unpin();
    assert!(addresses.iter().all(|address| heap.pin_count(address.as_ptr().cast_const()) == 0));
    heap.collect();
    assert_eq!(heap.stats().live_bytes, 0);
}

#[test]
fn concurrent_pins_of_one_object_are_all_counted() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 500;
    let heap = Heap::builder().processors(THREADS).build().expect("a heap of four processors");
    let root = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(11))));
    let kept: Vec<Pinner> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut kept = Pinner::new();
                    for _ in 0..ROUNDS {
                        heap.mutate(|mu| {
                            let mut short = Pinner::new();
                            short.pin(mu, root.get(mu));
                            assert!(mu.is_pinned(root.get(mu)));
                            kept.pin(mu, root.get(mu));
                        });
                    }
                    kept
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no worker panics")).collect()
    });
    heap.mutate(|mu| assert_eq!(mu.pin_count(root.get(mu)) as usize, THREADS * ROUNDS));
    drop(kept);
    heap.mutate(|mu| assert_eq!(mu.pin_count(root.get(mu)), 0));
}

/// Threads pin one object all the time, so that its pins come to be counted by the processor; whatever is held meanwhile is seen, by threads and by
/// cycles, and when it is given back on other threads nothing is left.
#[test]
fn an_object_that_all_threads_pin_is_kept_as_long_as_one_does() {
    const THREADS: usize = 4;
    let heap = Heap::builder().processors(THREADS).build().expect("a heap of four processors");
    let ledger = Ledger::new(1);
    let root = heap.mutate(|mu| mu.root(mu.alloc(ledger.counted(0))));
    let held: Vec<Pinner> = thread::scope(|scope| {
        let work = || {
            let mut held = Pinner::new();
            for round in 0..100 {
                heap.mutate(|mu| {
                    let object = root.get(mu);
                    for _ in 0..200 {
                        let mut short = Pinner::new();
                        short.pin(mu, object);
                        assert!(mu.is_pinned(object) && mu.pin_count(object) >= 1);
                    }
                    if round % 10 == 0 {
                        held.pin(mu, object);
                    }
                    assert!(mu.is_pinned(object), "this thread holds a pin");
                });
            }
            held
        };
        let workers = [(); THREADS].map(|()| scope.spawn(work));
        for _ in 0..10 {
            heap.collect();
        }
        workers.into_iter().map(|worker| worker.join().expect("no worker panics")).collect()
    });
    let address = heap.mutate(|mu| Gc::as_ptr(root.get(mu)));
    drop(root);
    for (left, pinner) in (1..=THREADS).rev().zip(held) {
        heap.collect();
        heap.verify().expect("a whole heap");
        assert_eq!((heap.pin_count(address) as usize, ledger.total()), (left * 10, 0));
        drop(pinner);
    }
    heap.collect();
    ledger.assert_each_once();
}
