//! The atomic pointer field: what its operations mean, and that what is reachable only through
//! such fields survives any number of cycles while threads rewire them.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use common::{Counted, Ledger, Stop, Triple, churn};
use linchpin::{Gc, GcCell, Heap, Pinner, Root, Trace};

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, Triple>,
}

#[derive(Trace)]
struct Link<'gc> {
    number: usize,
    check: usize,
    counted: Counted,
    next: GcCell<'gc, Link<'gc>>,
}

#[test]
fn load_gives_what_was_stored() {
    Heap::new().mutate(|mu| {
        let slot = mu.alloc(Slot { held: GcCell::null() });
        assert!(slot.held.load().is_none());
        let one = mu.alloc(Triple::of(1));
        slot.held.store(mu, one);
        assert!(slot.held.load().is_some_and(|held| Gc::ptr_eq(held, one)));
        slot.held.store(mu, Some(mu.alloc(Triple::of(2))));
        assert_eq!(*slot.held.load().expect("it was stored"), Triple::of(2));
        slot.held.store(mu, None);
        assert!(slot.held.load().is_none());
        slot.held.store(mu, one);
        slot.held.clear(mu);
        assert!(slot.held.load().is_none());

        let filled = mu.alloc(Slot { held: GcCell::new(one) });
        assert!(filled.held.load().is_some_and(|held| Gc::ptr_eq(held, one)));
        let empty = mu.alloc(Slot { held: GcCell::new(None) });
        assert!(empty.held.load().is_none());
    });
}

#[test]
fn swap_gives_the_old_value() {
    Heap::new().mutate(|mu| {
        let (one, two) = (mu.alloc(Triple::of(1)), mu.alloc(Triple::of(2)));
        let slot = mu.alloc(Slot { held: GcCell::null() });
        assert!(slot.held.swap(mu, Some(one)).is_none());
        assert!(slot.held.swap(mu, Some(two)).is_some_and(|old| Gc::ptr_eq(old, one)));
        assert!(slot.held.swap(mu, None).is_some_and(|old| Gc::ptr_eq(old, two)));
        assert!(slot.held.load().is_none());
    });
}

#[test]
fn what_debug_shows_leads_nowhere() {
    let heap = Heap::new();
    let mut pinner = Pinner::new();
    let (root, address, shown) = heap.mutate(|mu| {
        let one = mu.alloc(Triple::of(1));
        let slot = mu.alloc(Slot { held: GcCell::new(one) });
        (mu.root(slot), pinner.pin(mu, one), format!("{:?}", slot.held))
    });
    assert_eq!(shown, format!("GcCell({address:?})"));
    let shown = format!("{root:?}");
    assert!(shown.starts_with("Root") && shown.contains(&format!("heap: {}", heap.id())), "{shown}");
    assert!(shown.contains("Slot"), "{shown}");
    assert_eq!(format!("{pinner:?}"), "Pinner { pins: 1 }");
}

#[test]
fn compare_exchange_changes_only_what_it_expects() {
    Heap::new().mutate(|mu| {
        let (one, two) = (mu.alloc(Triple::of(1)), mu.alloc(Triple::of(1)));
        assert_eq!(*one, *two);
        assert!(!Gc::ptr_eq(one, two), "equal values, different objects");
        let slot = mu.alloc(Slot { held: GcCell::null() });

        let failed = slot.held.compare_exchange(mu, Some(one), Some(two));
        assert!(matches!(failed, Err(None)));
        assert!(slot.held.load().is_none());

        let done = slot.held.compare_exchange(mu, None, Some(one));
        assert!(matches!(done, Ok(None)));

        let failed = slot.held.compare_exchange(mu, Some(two), None);
        assert!(failed.is_err_and(|found| found.is_some_and(|found| Gc::ptr_eq(found, one))));
        assert!(slot.held.load().is_some_and(|held| Gc::ptr_eq(held, one)));

        let done = slot.held.compare_exchange(mu, Some(one), Some(two));
        assert!(done.is_ok_and(|old| old.is_some_and(|old| Gc::ptr_eq(old, one))));
        let done = slot.held.compare_exchange(mu, Some(two), None);
        assert!(done.is_ok_and(|old| old.is_some_and(|old| Gc::ptr_eq(old, two))));
        assert!(slot.held.load().is_none());
    });
}

#[test]
fn one_of_many_threads_wins_a_compare_exchange() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 300;
    let heap = Heap::builder().processors(THREADS).build().expect("a heap of four processors");
    let slots: Root<[GcCell<'static, Triple>]> =
        heap.mutate(|mu| mu.root(mu.alloc_slice_with(ROUNDS, |_| GcCell::<Triple>::null())));
    let wins = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (heap, slots, wins) = (&heap, &slots, &wins);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    heap.mutate(|mu| {
                        let mine = mu.alloc(Triple::of(thread as i64));
                        if slots.get(mu)[round].compare_exchange(mu, None, Some(mine)).is_ok() {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
        }
    });
    assert_eq!(wins.into_inner() as usize, ROUNDS);
    heap.collect();
    heap.mutate(|mu| {
        for slot in slots.get(mu).iter() {
            let winner = slot.load().expect("every slot was won").x;
            assert_eq!(*slot.load().expect("every slot was won"), Triple::of(winner));
        }
    });
}

/// A stack shared by threads, of nothing but `compare_exchange`: no node may come back while a
/// mutation still knows it, or the stack breaks.
#[test]
fn a_lock_free_stack_gives_back_every_node_once() {
    const THREADS: usize = 4;
    const EACH: usize = 4000;
    let heap = Heap::builder().processors(THREADS).build().expect("a heap of four processors");
    let ledger = Ledger::new(THREADS * EACH + 1);
    let top: Root<Link<'static>> = heap.mutate(|mu| {
        let counted = ledger.counted(THREADS * EACH);
        mu.root(mu.alloc(Link { number: 0, check: 0, counted, next: GcCell::null() }))
    });
    let popped: Vec<AtomicU32> = (0..THREADS * EACH).map(|_| AtomicU32::new(0)).collect();
    let stop = Stop::default();
    let pop = || {
        heap.mutate(|mu| {
            let top = top.get(mu);
            let mut first = top.next.load();
            while let Some(link) = first {
                match top.next.compare_exchange(mu, first, link.next.load()) {
                    Ok(_) => {
                        assert_eq!(link.check, !link.number, "a node was overwritten");
                        popped[link.number].fetch_add(1, Ordering::Relaxed);
                        return true;
                    }
                    Err(found) => first = found,
                }
            }
            false
        })
    };
    thread::scope(|scope| {
        let at_end = stop.on_drop();
        scope.spawn(|| stop.until(|| heap.collect()));
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (heap, ledger, top, pop) = (&heap, &ledger, &top, &pop);
                scope.spawn(move || {
                    for number in thread * EACH..(thread + 1) * EACH {
                        heap.mutate(|mu| {
                            let counted = ledger.counted(number);
                            let link = mu.alloc(Link { number, check: !number, counted, next: GcCell::null() });
                            let mut first = top.get(mu).next.load();
                            loop {
                                link.next.store(mu, first);
                                match top.get(mu).next.compare_exchange(mu, first, Some(link)) {
                                    Ok(_) => break,
                                    Err(found) => first = found,
                                }
                            }
                        });
                        if number % 3 != 0 {
                            pop();
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().expect("no worker panics");
        }
        drop(at_end);
    });
    while pop() {}
    for (number, count) in popped.iter().enumerate() {
        assert_eq!(count.load(Ordering::Relaxed), 1, "node {number}");
    }
    heap.collect();
    assert_eq!(ledger.total(), (THREADS * EACH) as u64);
    drop(top);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_chain_survives_cycles_while_it_is_rewired() {
    const LINKS: usize = 200;
    const ROTATIONS: usize = 5000;
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let ledger = Ledger::new(LINKS + 1);
    let link = |number: usize| {
        let counted = ledger.counted(number);
        (number, !number, counted)
    };
    let head: Root<Link<'static>> = heap.mutate(|mu| {
        let mut next = None;
        for number in (0..=LINKS).rev() {
            let (number, check, counted) = link(number);
            next = Some(mu.alloc(Link { number, check, counted, next: GcCell::new(next) }));
        }
        mu.root(next.expect("the chain has links"))
    });
    let stop = Stop::default();
    thread::scope(|scope| {
        let at_end = stop.on_drop();
        scope.spawn(|| stop.until(|| heap.collect()));
        scope.spawn(|| stop.until(|| churn(&heap, 1000)));
        for rotation in 0..ROTATIONS {
            heap.mutate(|mu| {
                // The second link is taken out and put in again somewhere else, so that for a
                // moment only this mutation knows it and all that hangs on it.
                let head = head.get(mu);
                let moved = head.next.load().expect("the chain has links");
                head.next.store(mu, moved.next.swap(mu, None));
                let mut place = head;
                for _ in 0..rotation % LINKS {
                    place = place.next.load().expect("no link is lost");
                }
                moved.next.store(mu, place.next.load());
                place.next.store(mu, moved);
            });
        }
        drop(at_end);
    });
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        let mut seen = [false; LINKS + 1];
        let mut at = Some(head.get(mu));
        while let Some(link) = at {
            assert_eq!(link.check, !link.number, "a link was overwritten");
            assert_eq!(link.counted.entry(), link.number);
            assert!(!std::mem::replace(&mut seen[link.number], true), "link {} is there twice", link.number);
            at = link.next.load();
        }
        assert!(seen.iter().all(|&seen| seen), "a link was lost");
    });
    drop(head);
    heap.collect();
    ledger.assert_each_once();
}

/// Objects wander between the slots of two slices while cycles run; each is always in one slot.
#[test]
fn objects_that_wander_between_slots_survive() {
    const SLOTS: usize = 64;
    const MOVES: usize = 20_000;
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let slots: Root<[GcCell<'static, Triple>]> = heap.mutate(|mu| {
        mu.root(mu.alloc_slice_with(2 * SLOTS, |index| {
            if index < SLOTS { GcCell::new(mu.alloc(Triple::of(index as i64))) } else { GcCell::null() }
        }))
    });
    let stop = Stop::default();
    thread::scope(|scope| {
        let at_end = stop.on_drop();
        scope.spawn(|| stop.until(|| heap.collect()));
        for step in 0..MOVES {
            heap.mutate(|mu| {
                let slots = slots.get(mu);
                let taken = slots[step * 7 % (2 * SLOTS)].swap(mu, None);
                let pushed_out = slots[step * 13 % (2 * SLOTS)].swap(mu, taken);
                if let Some(homeless) = pushed_out {
                    let free = slots.iter().find(|slot| slot.load().is_none());
                    free.expect("half of the slots are free").store(mu, homeless);
                }
                mu.alloc(Triple::of(-7));
            });
        }
        drop(at_end);
    });
    heap.mutate(|mu| {
        let mut seen: Vec<i64> = slots
            .get(mu)
            .iter()
            .filter_map(|slot| slot.load())
            .map(|held| {
                assert_eq!(*held, Triple::of(held.x), "an object was overwritten");
                held.x
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..SLOTS as i64).collect::<Vec<_>>());
    });
}
