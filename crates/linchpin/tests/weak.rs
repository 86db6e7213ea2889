//! Weak pointers, from outside.

#![cfg(not(loom))]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::{Counted, Ledger, Stop, churn};
use linchpin::{Gc, GcCell, GcMutex, GcOnce, Heap, Root, Trace, Weak, WeakCell, WeakRoot};

fn pair(heap: &Heap, ledger: &Ledger, entry: usize) -> (Root<Counted>, WeakRoot<Counted>) {
    heap.mutate(|mu| {
        let object = mu.alloc(ledger.counted(entry));
        (mu.root(object), mu.weak_root(object))
    })
}

#[test]
fn a_weak_pointer_leads_to_what_something_else_keeps() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let (root, weak) = pair(&heap, &ledger, 0);
    for _ in 0..3 {
        heap.collect();
        heap.mutate(|mu| assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu))));
    }
    drop(root);
    heap.collect();
    ledger.assert_each_once();
    for _ in 0..3 {
        heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
        heap.collect();
    }
}

/// What is upgraded is kept by what it is stored into, and by nothing else.
#[test]
fn what_is_upgraded_can_be_kept() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let (root, weak) = pair(&heap, &ledger, 0);
    let holder: Root<GcCell<'static, Counted>> = heap.mutate(|mu| mu.root(mu.alloc(GcCell::<Counted>::null())));
    heap.mutate(|mu| holder.get(mu).store(mu, weak.upgrade(mu)));
    drop(root);
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| holder.get(mu).clear(mu));
    heap.collect();
    ledger.assert_each_once();
}

/// A tree whose nodes know their parents without keeping them.
#[derive(Trace)]
struct Tree<'gc> {
    counted: Counted,
    parent: Option<Weak<'gc, Tree<'gc>>>,
    children: GcMutex<Vec<Gc<'gc, Tree<'gc>>>>,
}

#[test]
fn a_child_does_not_keep_its_parent() {
    let heap = Heap::new();
    let ledger = Ledger::new(3);
    let child: Root<Tree<'static>> = heap.mutate(|mu| {
        let tree =
            |entry, parent| mu.alloc(Tree { counted: ledger.counted(entry), parent, children: GcMutex::default() });
        let parent = tree(0, None);
        let children = [1, 2].map(|entry| tree(entry, Some(mu.downgrade(parent))));
        parent.children.lock(mu).extend(children);
        mu.root(children[0])
    });
    heap.collect();
    assert_eq!([0, 1, 2].map(|entry| ledger.drops_of(entry)), [1, 0, 1]);
    heap.mutate(|mu| {
        assert_eq!(child.get(mu).counted.entry(), 1);
        assert!(child.get(mu).parent.unwrap().upgrade(mu).is_none());
    });
    drop(child);
    heap.collect();
    ledger.assert_each_once();
}

/// Places for weak pointers, to targets of several kinds.
#[derive(Trace)]
struct Places<'gc> {
    once: GcOnce<Weak<'gc, Counted>>,
    cell: WeakCell<'gc, Counted>,
    slice: Gc<'gc, [Weak<'gc, str>]>,
    boxed: Box<Weak<'gc, [u64]>>,
    mutex: GcMutex<Vec<Weak<'gc, ()>>>,
}

#[test]
fn weak_pointers_lie_in_whatever_holds_pointers() {
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    type All = (Root<Places<'static>>, Root<Counted>, Root<str>, Root<[u64]>, Root<()>);
    let (places, counted, text, numbers, unit): All = heap.mutate(|mu| {
        let (text, numbers, unit) = (mu.alloc_str("text"), mu.alloc_slice_copy(&[1_u64; 5000]), mu.alloc(()));
        let counted = mu.alloc(ledger.counted(0));
        let places = mu.alloc(Places {
            once: GcOnce::new(),
            cell: WeakCell::new(mu.downgrade(mu.alloc(ledger.counted(1)))),
            slice: mu.alloc_slice_from_iter([mu.downgrade(text); 3]),
            boxed: Box::new(mu.downgrade(numbers)),
            mutex: GcMutex::default(),
        });
        assert!(places.once.set(mu, mu.downgrade(counted)).is_ok());
        places.mutex.lock(mu).push(mu.downgrade(unit));
        (mu.root(places), mu.root(counted), mu.root(text), mu.root(numbers), mu.root(unit))
    });
    heap.collect();
    heap.mutate(|mu| {
        let places = places.get(mu);
        assert!(Gc::ptr_eq(places.once.get().unwrap().upgrade(mu).unwrap(), counted.get(mu)));
        assert!(places.cell.load().is_some() && places.cell.upgrade(mu).is_none(), "nothing else leads there");
        assert!(places.slice.iter().all(|weak| &*weak.upgrade(mu).unwrap() == "text"));
        assert_eq!(places.boxed.upgrade(mu).unwrap().len(), 5000);
        assert!(Gc::ptr_eq(places.mutex.lock(mu)[0].upgrade(mu).unwrap(), unit.get(mu)));
    });
    drop((counted, text, numbers, unit));
    heap.collect();
    heap.mutate(|mu| {
        let places = places.get(mu);
        assert!(places.once.get().unwrap().upgrade(mu).is_none());
        assert!(places.slice.iter().all(|weak| weak.upgrade(mu).is_none()));
        assert!(places.boxed.upgrade(mu).is_none());
        assert!(places.mutex.lock(mu)[0].upgrade(mu).is_none());
    });
    ledger.assert_each_once();
}

#[test]
fn a_weak_cell_changes_like_any_cell() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let [one, two] = [1_u64, 2].map(|number| mu.downgrade(mu.alloc(number)));
        let cell = mu.alloc(WeakCell::<u64>::null());
        let holds = |expected: Option<u64>| assert_eq!(cell.upgrade(mu).map(|number| *number), expected);
        holds(None);
        assert!(cell.load().is_none());
        cell.store(mu, one);
        holds(Some(1));
        assert!(cell.compare_exchange(mu, Some(two), None) == Err(Some(one)));
        assert!(cell.compare_exchange(mu, Some(one), Some(two)) == Ok(Some(one)));
        holds(Some(2));
        assert!(cell.swap(mu, one) == Some(two));
        assert!(cell.swap(mu, None) == Some(one));
        assert!(cell.swap(mu, None).is_none());
        cell.store(mu, two);
        cell.clear(mu);
        holds(None);
    });
}

/// Like Go's weak pointers: equal if made for the same object, and they stay so when that is dead.
#[test]
fn weak_pointers_are_equal_if_made_for_the_same_object() {
    let heap = Heap::new();
    let weak: Vec<[WeakRoot<u64>; 2]> = heap.mutate(|mu| {
        let objects = (0..100_u64).map(|number| mu.alloc(number));
        objects.map(|object| [mu.weak_root(object), mu.downgrade(object).root(mu)]).collect()
    });
    let distinct = |heap: &Heap| {
        heap.mutate(|mu| {
            assert!(weak.iter().all(|[one, other]| one.get(mu) == other.get(mu)));
            weak.iter().flatten().map(|weak| weak.get(mu)).collect::<HashSet<_>>().len()
        })
    };
    assert_eq!(distinct(&heap), 100);
    heap.collect();
    heap.mutate(|mu| assert!(weak.iter().flatten().all(|weak| weak.upgrade(mu).is_none())));
    // New objects where the old ones were: their weak pointers are others.
    let later: Vec<WeakRoot<u64>> = heap.mutate(|mu| (0..100_u64).map(|n| mu.weak_root(mu.alloc(n))).collect());
    assert_eq!(distinct(&heap), 100);
    heap.mutate(|mu| {
        let old: HashSet<_> = weak.iter().flatten().map(|weak| weak.get(mu)).collect();
        assert!(later.iter().all(|weak| !old.contains(&weak.get(mu)) && weak.upgrade(mu).is_some()));
    });
}

/// When nobody has a weak pointer, the handle goes; the next one makes another.
#[test]
fn an_object_has_a_handle_while_somebody_has_it() {
    let heap = Heap::new();
    let (root, weak) = heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        (mu.root(object), mu.weak_root(object))
    });
    let live = || {
        heap.collect();
        heap.stats().live_objects
    };
    assert_eq!(live(), 2);
    let clone = weak.clone();
    drop(weak);
    assert_eq!(live(), 2);
    drop(clone);
    assert_eq!(live(), 1);
    let weak = heap.mutate(|mu| mu.weak_root(root.get(mu)));
    assert_eq!(live(), 2);
    heap.mutate(|mu| assert_eq!(*weak.upgrade(mu).unwrap(), 7));
    drop(root);
    heap.collect();
    heap.mutate(|mu| assert_eq!(format!("{:?}", weak.get(mu)), "Weak { is_cleared: true, .. }"));
}

#[test]
fn a_weak_root_can_lead_elsewhere() {
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let (first, weak) = pair(&heap, &ledger, 0);
    let (second, other) = pair(&heap, &ledger, 1);
    heap.mutate(|mu| weak.set(mu, other.get(mu)));
    drop(first);
    heap.collect();
    assert_eq!([0, 1].map(|entry| ledger.drops_of(entry)), [1, 0]);
    heap.mutate(|mu| assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), second.get(mu))));
}

/// A pin keeps the object, so weak pointers to it go on.
#[test]
fn what_is_pinned_can_be_upgraded() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let (root, weak) = pair(&heap, &ledger, 0);
    let mut pinner = linchpin::Pinner::new();
    heap.mutate(|mu| pinner.pin(mu, root.get(mu)));
    drop(root);
    heap.collect();
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_some()));
    pinner.unpin();
    heap.collect();
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
    ledger.assert_each_once();
}

/// Weak pointers along a chain that is dead as a whole all fail at once: nothing is brought back by a part of it.
#[test]
fn a_dead_ring_is_dead_at_once() {
    #[derive(Trace)]
    struct Ring<'gc> {
        next: GcCell<'gc, Ring<'gc>>,
        back: WeakCell<'gc, Ring<'gc>>,
    }
    let heap = Heap::new();
    let weak: Vec<WeakRoot<Ring<'static>>> = heap.mutate(|mu| {
        let ring: Vec<_> = (0..50).map(|_| mu.alloc(Ring { next: GcCell::null(), back: WeakCell::null() })).collect();
        for (index, node) in ring.iter().enumerate() {
            let next = ring[(index + 1) % ring.len()];
            node.next.store(mu, next);
            next.back.store(mu, mu.downgrade(*node));
        }
        ring.iter().map(|node| mu.weak_root(*node)).collect()
    });
    heap.mutate(|mu| {
        let first = weak[0].upgrade(mu).unwrap();
        assert!(Gc::ptr_eq(first.next.load().unwrap().back.upgrade(mu).unwrap(), first));
    });
    heap.collect();
    heap.mutate(|mu| assert!(weak.iter().all(|weak| weak.upgrade(mu).is_none())));
}

#[test]
fn a_weak_root_may_outlive_its_heap() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let (root, weak) = pair(&heap, &ledger, 0);
    drop(heap);
    ledger.assert_none();
    drop(root);
    ledger.assert_each_once();
    drop(weak.clone());
    drop(weak);
}

#[test]
#[should_panic(expected = "a root of heap")]
fn a_weak_root_of_another_heap_is_refused() {
    let (heap, other) = (Heap::new(), Heap::new());
    let weak = heap.mutate(|mu| mu.weak_root(mu.alloc(7_u64)));
    other.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
}

#[test]
fn a_full_region_is_an_error_that_loses_nothing() {
    let heap = Heap::builder().processors(1).region_size(1 << 20).build().expect("a small heap");
    heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        let mut kept = Vec::new();
        while let Ok(more) = mu.try_alloc([0_u64; 2]) {
            kept.push(more);
        }
        while let Ok(more) = mu.try_alloc(0_u64) {
            mu.try_downgrade(more).ok();
        }
        let refused = mu.try_downgrade(object).expect_err("the region is full");
        assert_eq!(refused.requested_bytes, size_of::<usize>());
    });
    heap.collect();
    heap.mutate(|mu| {
        let object = mu.alloc(7_u64);
        assert_eq!(*mu.try_downgrade(object).unwrap().upgrade(mu).unwrap(), 7);
    });
    heap.verify().unwrap();
}

/// Threads take objects out of a shared table and put others there, while other threads upgrade and downgrade, through many
/// cycles: what an upgrade gives is whole.
#[test]
fn threads_upgrade_while_cycles_go_on() {
    // So many that a mark does not see each upgraded, and so kept.
    const SLOTS: usize = 1 << 14;
    #[derive(Trace)]
    struct Entry {
        number: u64,
        squared: u64,
        counted: Option<Box<u64>>,
    }
    #[derive(Trace)]
    struct Shared<'gc> {
        strong: Vec<GcCell<'gc, Entry>>,
        weak: Vec<WeakCell<'gc, Entry>>,
    }
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let shared: Root<Shared<'static>> = heap.mutate(|mu| {
        let strong = (0..SLOTS).map(|_| GcCell::null()).collect();
        mu.root(mu.alloc(Shared { strong, weak: (0..SLOTS).map(|_| WeakCell::null()).collect() }))
    });
    let (found, gone) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = Stop::default();
    thread::scope(|scope| {
        let stopper = stop.on_drop();
        for thread in 0..2_u64 {
            let (heap, shared, stop, found, gone) = (&heap, &shared, &stop, &found, &gone);
            scope.spawn(move || {
                let mut number = thread;
                stop.until(|| {
                    heap.mutate(|mu| {
                        let shared = shared.get(mu).as_ref();
                        for _ in 0..100 {
                            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            let (slot, other) = ((number >> 20) as usize % SLOTS, (number >> 37) as usize % SLOTS);
                            match number >> 61 {
                                0 => shared.strong[slot].clear(mu),
                                1..4 => {
                                    let squared = number.wrapping_mul(number);
                                    let entry = mu.alloc(Entry { number, squared, counted: Some(Box::new(number)) });
                                    shared.strong[slot].store(mu, entry);
                                    shared.weak[slot].store(mu, mu.downgrade(entry));
                                }
                                4 => shared.weak[slot].store(mu, shared.weak[other].load()),
                                _ => {
                                    let Some(weak) = shared.weak[slot].load() else { continue };
                                    let Some(entry) = weak.upgrade(mu) else {
                                        gone.fetch_add(1, Ordering::Relaxed);
                                        assert!(weak.upgrade(mu).is_none(), "an upgrade fails for good");
                                        continue;
                                    };
                                    found.fetch_add(1, Ordering::Relaxed);
                                    assert_eq!(entry.squared, entry.number.wrapping_mul(entry.number));
                                    assert_eq!(entry.counted.as_deref(), Some(&entry.number));
                                    assert!(mu.downgrade(entry) == weak);
                                    // What only a weak pointer led to is kept from here on.
                                    shared.strong[other].store(mu, entry);
                                }
                            }
                        }
                    });
                });
            });
        }
        // At least so many cycles, and until both have been seen.
        let mut cycles = 0;
        while cycles < 6 || found.load(Ordering::Relaxed) == 0 || gone.load(Ordering::Relaxed) == 0 {
            heap.collect();
            churn(&heap, 100);
            cycles += 1;
        }
        drop(stopper);
    });
    heap.verify().unwrap();
}
