//! Weak maps, from outside.

#![cfg(not(loom))]

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::{Counted, Ledger, Stop, churn};
use linchpin::{Gc, GcCell, GcMutex, Heap, Mutator, Root, Trace, WeakMap};

/// An object that is a key, and may lead to another.
#[derive(Trace)]
struct Key<'gc> {
    number: usize,
    next: GcCell<'gc, Key<'gc>>,
}

/// A value that leads to a key.
#[derive(Trace)]
struct Value<'gc> {
    counted: Counted,
    to: Option<Gc<'gc, Key<'gc>>>,
}

type Map<'gc> = WeakMap<'gc, Key<'gc>, Gc<'gc, Value<'gc>>>;

fn map(heap: &Heap) -> Root<Map<'static>> {
    heap.mutate(|mu| mu.root(mu.alloc(Map::new(mu))))
}

fn key<'gc>(mu: &Mutator<'gc>, number: usize) -> Gc<'gc, Key<'gc>> {
    mu.alloc(Key { number, next: GcCell::null() })
}

fn value<'gc>(mu: &Mutator<'gc>, counted: Counted, to: Option<Gc<'gc, Key<'gc>>>) -> Gc<'gc, Value<'gc>> {
    mu.alloc(Value { counted, to })
}

#[test]
fn a_value_lives_as_long_as_its_key() {
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let map = map(&heap);
    let keys: [Root<Key<'static>>; 2] = heap.mutate(|mu| {
        [0, 1].map(|number| {
            let key = key(mu, number);
            assert!(map.get(mu).insert(mu, key, value(mu, ledger.counted(number), None)).is_none());
            mu.root(key)
        })
    });
    heap.collect();
    ledger.assert_none();
    let [first, second] = keys;
    drop(first);
    heap.collect();
    assert_eq!([0, 1].map(|entry| ledger.drops_of(entry)), [1, 0]);
    heap.mutate(|mu| {
        assert_eq!(map.get(mu).len(), 1);
        assert_eq!(map.get(mu).get(mu, second.get(mu)).unwrap().counted.entry(), 1);
        assert_eq!(map.get(mu).entries(mu).len(), 1);
    });
    // Without the map, nothing keeps the value.
    drop(map);
    heap.collect();
    ledger.assert_each_once();
    heap.mutate(|mu| assert_eq!(second.get(mu).number, 1));
}

#[test]
fn a_value_does_not_keep_its_own_key() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let map = map(&heap);
    heap.mutate(|mu| {
        let key = key(mu, 0);
        map.get(mu).insert(mu, key, value(mu, ledger.counted(0), Some(key)));
    });
    heap.collect();
    ledger.assert_each_once();
    heap.mutate(|mu| assert!(map.get(mu).is_empty()));
}

/// From each value to the next key, in the worst order there is; alive as a whole, and dead as a whole.
#[test]
fn a_chain_of_values_and_keys_lives_by_its_first_key() {
    const LENGTH: usize = 20_000;
    let heap = Heap::new();
    let ledger = Ledger::new(LENGTH);
    let map = map(&heap);
    let first: Root<Key<'static>> = heap.mutate(|mu| {
        let keys: Vec<_> = (0..=LENGTH).map(|number| key(mu, number)).collect();
        for (entry, pair) in keys.windows(2).enumerate() {
            map.get(mu).insert(mu, pair[0], value(mu, ledger.counted(entry), Some(pair[1])));
        }
        mu.root(keys[0])
    });
    for _ in 0..2 {
        heap.collect();
        ledger.assert_none();
        heap.mutate(|mu| {
            let mut key = first.get(mu);
            for number in 0..LENGTH {
                assert_eq!(key.number, number);
                key = map.get(mu).get(mu, key).expect("its key is alive").to.expect("a value leads to the next key");
            }
            assert!(map.get(mu).get(mu, key).is_none());
        });
    }
    drop(first);
    heap.collect();
    ledger.assert_each_once();
    heap.mutate(|mu| assert!(map.get(mu).is_empty()));
}

/// Maps that are found only in the values of others.
#[test]
fn a_map_in_a_value_is_looked_at() {
    #[derive(Trace)]
    struct Nested<'gc> {
        inner: WeakMap<'gc, Key<'gc>, Gc<'gc, Nested<'gc>>>,
        counted: Counted,
    }
    const DEPTH: usize = 100;
    let heap = Heap::new();
    let ledger = Ledger::new(DEPTH);
    let (map, key): (Root<Nested<'static>>, Root<Key<'static>>) = heap.mutate(|mu| {
        let key = key(mu, 0);
        let mut map = mu.alloc(Nested { inner: WeakMap::new(mu), counted: ledger.counted(0) });
        for entry in 1..DEPTH {
            let outer = mu.alloc(Nested { inner: WeakMap::new(mu), counted: ledger.counted(entry) });
            outer.inner.insert(mu, key, map);
            map = outer;
        }
        (mu.root(map), mu.root(key))
    });
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        let (mut map, mut depth) = (map.get(mu), 1);
        while let Some(inner) = map.inner.get(mu, key.get(mu)) {
            (map, depth) = (inner, depth + 1);
        }
        assert_eq!((depth, map.counted.entry()), (DEPTH, 0));
    });
    drop(key);
    heap.collect();
    assert_eq!(ledger.total(), DEPTH as u64 - 1);
    drop(map);
    heap.collect();
    ledger.assert_each_once();
}

/// Maps that are parts of values, not objects: nothing is marked on the way to them.
#[test]
fn a_map_that_is_part_of_a_value_is_looked_at() {
    type Inner<'gc> = WeakMap<'gc, Key<'gc>, Gc<'gc, Value<'gc>>>;
    type Outer<'gc> = WeakMap<'gc, Key<'gc>, Option<Inner<'gc>>>;
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let (map, kept): (Root<WeakMap<'static, Key<'static>, Outer<'static>>>, Root<Key<'static>>) = heap.mutate(|mu| {
        let key = key(mu, 0);
        let (outermost, outer, inner) = (mu.alloc(WeakMap::new(mu)), Outer::new(mu), Inner::new(mu));
        inner.insert(mu, key, value(mu, ledger.counted(0), None));
        outer.insert(mu, key, Some(inner));
        outermost.insert(mu, key, outer);
        (mu.root(outermost), mu.root(key))
    });
    for _ in 0..3 {
        heap.collect();
        churn(&heap, 1000);
        ledger.assert_none();
        heap.verify().unwrap();
    }
    heap.mutate(|mu| {
        let key = kept.get(mu);
        let outer = map.get(mu).remove(mu, key).unwrap();
        let inner = outer.remove(mu, key).unwrap().unwrap();
        assert_eq!(inner.get(mu, key).unwrap().counted.entry(), 0);
    });
    heap.collect();
    ledger.assert_each_once();
}

/// What is behind a lock whose guard was forgotten is lost, and the collector does not wait for it.
#[test]
fn a_forgotten_guard_in_a_value_holds_up_no_cycle() {
    type Locked<'gc> = GcMutex<Option<Gc<'gc, Value<'gc>>>>;
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let (map, kept): (Root<WeakMap<'static, Key<'static>, Locked<'static>>>, Root<Key<'static>>) = heap.mutate(|mu| {
        let key = key(mu, 0);
        let map = mu.alloc(WeakMap::new(mu));
        let locked = Locked::new(Some(value(mu, ledger.counted(0), None)));
        std::mem::forget(locked.lock(mu));
        map.insert(mu, key, locked);
        (mu.root(map), mu.root(key))
    });
    for _ in 0..3 {
        heap.mutate(|mu| assert!(map.get(mu).contains_key(kept.get(mu))));
        heap.collect();
    }
    assert_eq!([0, 1].map(|entry| ledger.drops_of(entry)), [1, 0]);
}

/// The key is the object: equal ones are others. Its value may be of any type.
#[test]
fn keys_are_told_by_address() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let map = mu.alloc(WeakMap::<str, String>::new(mu));
        let [one, other] = [(); 2].map(|()| mu.alloc_str("same"));
        assert_eq!(map.insert(mu, one, "one".to_owned()), None);
        assert_eq!(map.insert(mu, other, "other".to_owned()), None);
        assert_eq!(map.insert(mu, one, "another".to_owned()), Some("one".to_owned()));
        assert_eq!(map.get(mu, one).as_deref(), Some("another"));
        assert_eq!(map.get_or_insert_with(mu, other, || unreachable!("there is one")), "other");
        assert_eq!(map.remove(mu, other).as_deref(), Some("other"));
        assert!(!map.contains_key(other) && map.remove(mu, other).is_none());
        assert_eq!(map.get_or_insert_with(mu, other, || "new".to_owned()), "new");
        assert_eq!(map.len(), 2);
        map.clear(mu);
        assert!(map.is_empty() && map.entries(mu).is_empty());
    });
}

/// Values with a `Drop` are dropped once: when the key is dead, the entry is removed, or the map dies. A panic in one concerns
/// that one alone.
#[test]
fn values_are_dropped_once() {
    struct Bomb(Counted);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0.entry().is_multiple_of(2), "a value that panics when it is dropped");
        }
    }
    // SAFETY: it holds no pointers.
    unsafe impl Trace for Bomb {
        type Branded<'b> = Self;
        const NEEDS_TRACE: bool = false;
        fn trace(&self, _: &mut linchpin::Tracer<'_>) {}
    }
    let heap = Heap::new();
    let ledger = Ledger::new(40);
    let map: Root<WeakMap<'static, u64, Bomb>> = heap.mutate(|mu| mu.root(mu.alloc(WeakMap::<u64, Bomb>::new(mu))));
    let kept: Vec<Root<u64>> = heap.mutate(|mu| {
        (0..40)
            .map(|entry| {
                let key = mu.alloc(entry as u64);
                map.get(mu).insert(mu, key, Bomb(ledger.counted(entry)));
                mu.root(key)
            })
            .collect()
    });
    let mut kept = kept.into_iter();
    drop(kept.by_ref().take(20).collect::<Vec<_>>());
    heap.collect();
    assert_eq!((ledger.total(), heap.stats().drop_panics), (20, 10));
    let odd = kept.by_ref().nth(1).expect("entry 21");
    heap.mutate(|mu| drop(map.get(mu).remove(mu, odd.get(mu))));
    assert_eq!((ledger.drops_of(21), ledger.total()), (1, 21));
    drop(map);
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(heap.stats().drop_panics, 11, "one object more, one panic");
}

/// Values own roots and pins of what they would lead to: no ephemerons, but nothing is lost.
#[test]
fn a_map_goes_with_its_heap() {
    let ledger = Ledger::new(3);
    let heap = Heap::new();
    let (map, kept): (Root<Map<'static>>, Root<Key<'static>>) = heap.mutate(|mu| {
        let map = mu.alloc(Map::new(mu));
        let keys = [0, 1, 2].map(|number| key(mu, number));
        for (entry, key) in keys.into_iter().enumerate() {
            map.insert(mu, key, value(mu, ledger.counted(entry), None));
        }
        (mu.root(map), mu.root(keys[2]))
    });
    drop(heap);
    assert_eq!([0, 1, 2].map(|entry| ledger.drops_of(entry)), [1, 1, 0]);
    drop(kept);
    ledger.assert_each_once();
    drop(map);
}

/// Threads insert, look up and remove, while keys die and cycles go on: what is found is the key's.
#[test]
fn threads_share_a_map() {
    const SLOTS: usize = 1 << 13;
    #[derive(Trace)]
    struct Shared<'gc> {
        map: Map<'gc>,
        keys: Vec<GcCell<'gc, Key<'gc>>>,
    }
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let ledger = Ledger::new(1 << 20);
    let shared: Root<Shared<'static>> = heap.mutate(|mu| {
        let keys = (0..SLOTS).map(|_| GcCell::null()).collect();
        mu.root(mu.alloc(Shared { map: Map::new(mu), keys }))
    });
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = Stop::default();
    thread::scope(|scope| {
        let stopper = stop.on_drop();
        for thread in 0..2_u64 {
            let (heap, shared, stop, next, found, ledger) = (&heap, &shared, &stop, &next, &found, &ledger);
            scope.spawn(move || {
                let mut number = thread;
                stop.until(|| {
                    heap.mutate(|mu| {
                        let shared = shared.get(mu).as_ref();
                        for _ in 0..50 {
                            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            let slot = (number >> 20) as usize % SLOTS;
                            let held = shared.keys[slot].load();
                            match (number >> 60, held) {
                                (0..6, _) => {
                                    let entry = next.fetch_add(1, Ordering::Relaxed) as usize;
                                    if entry >= 1 << 20 {
                                        return;
                                    }
                                    let key = key(mu, entry);
                                    let value = value(mu, ledger.counted(entry), held);
                                    assert!(shared.map.insert(mu, key, value).is_none());
                                    shared.keys[slot].store(mu, key);
                                }
                                (6, _) => shared.keys[slot].clear(mu),
                                (7, Some(key)) => drop(shared.map.remove(mu, key)),
                                (_, Some(key)) => {
                                    // Along the values, whose keys nothing else leads to.
                                    let mut key = key;
                                    for _ in 0..8 {
                                        let Some(value) = shared.map.get(mu, key) else { break };
                                        assert_eq!(value.counted.entry(), key.number);
                                        assert_eq!(ledger.drops_of(key.number), 0);
                                        found.fetch_add(1, Ordering::Relaxed);
                                        let Some(to) = value.to else { break };
                                        key = to;
                                    }
                                    shared.keys[slot].store(mu, key);
                                }
                                _ => {}
                            }
                        }
                    });
                });
            });
        }
        let mut cycles = 0;
        while cycles < 6 || found.load(Ordering::Relaxed) == 0 {
            heap.collect();
            churn(&heap, 100);
            cycles += 1;
        }
        drop(stopper);
    });
    heap.verify().unwrap();
    drop(shared);
    heap.collect();
    heap.collect();
    let made = next.into_inner().min(1 << 20);
    assert_eq!(ledger.total(), made, "everything was dropped, once");
}

#[test]
fn an_empty_map_is_empty_until_something_is_put_in() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let (map, key) = (Map::new(mu), key(mu, 0));
        assert!(map.is_empty() && !map.contains_key(key));
        map.insert(mu, key, value(mu, Ledger::new(1).counted(0), None));
        assert!(!map.is_empty() && map.contains_key(key));
        assert_eq!(format!("{map:?}"), "WeakMap { len: 1, .. }");
        map.remove(mu, key);
        assert!(map.is_empty());
    });
}

/// The table is not in the heap: it counts as what the object owns.
#[test]
fn the_table_of_a_map_counts_as_memory_outside() {
    type Numbers<'gc> = WeakMap<'gc, u64, u64>;
    let heap = Heap::new();
    heap.mutate(|mu| {
        let owned = Numbers::new(mu).owned_bytes();
        assert!(owned >= size_of::<HashMap<usize, u64>>(), "at least one table: {owned}");
    });
}
