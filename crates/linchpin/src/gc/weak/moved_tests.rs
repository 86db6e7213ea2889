//! Maps, and what is in them, that a mutation in `Arm` moves into what another one, in `Mark`, has made.
//!
//! What is born in `Mark` is black, and nobody comes to it in this cycle. So whatever is put there must be kept by the barrier of whoever puts it there.
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use super::map::PARTS;
use super::map_tests::{Hook, key_in};
use crate::collector::cycle::Cycle;
use crate::collector::handshake::handshake;
use crate::collector::protocol_tests::{mutate_in, stay_while};
use crate::collector::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Interner, Mutator, Root, Trace, WeakCell, WeakMap, WeakRoot};

type Pointer<'gc> = Gc<'gc, Arc<()>>;
type Map<'gc> = WeakMap<'gc, Arc<()>, Pointer<'gc>>;
type Entry<'gc> = (Pointer<'gc>, Pointer<'gc>);
/// What a mutation that began in `Off` calls to go on in `Arm`, beside slots that were made in `Mark`.
type Go<'a, 'gc> = &'a dyn Fn() -> Gc<'gc, Slots<'gc>>;

#[derive(Trace)]
struct Holder<'gc> {
    map: Map<'gc>,
}

#[derive(Trace)]
struct Slots<'gc> {
    cell: GcCell<'gc, Holder<'gc>>,
    mutex: GcMutex<Vec<Map<'gc>>>,
    rw: GcRwLock<Option<Map<'gc>>>,
    once: GcOnce<Map<'gc>>,
    outer: WeakMap<'gc, u64, Map<'gc>>,
    outer_key: Gc<'gc, u64>,
    nested: GcMutex<Vec<GcMutex<Option<Map<'gc>>>>>,
    slices: GcCell<'gc, [Holder<'gc>]>,
    keys: Interner<'gc, u64>,
    weak: WeakCell<'gc, Arc<()>>,
    pointers: GcMutex<Vec<Gc<'gc, Arc<()>>>>,
    pointer: GcCell<'gc, Arc<()>>,
    plain: Map<'gc>,
}

fn slots<'gc>(mu: &Mutator<'gc>) -> Slots<'gc> {
    Slots {
        cell: GcCell::null(),
        mutex: GcMutex::default(),
        rw: GcRwLock::default(),
        once: GcOnce::new(),
        outer: WeakMap::new(mu),
        outer_key: mu.alloc(7),
        nested: GcMutex::new(vec![GcMutex::default()]),
        slices: GcCell::null(),
        keys: Interner::new(),
        weak: WeakCell::null(),
        pointers: GcMutex::default(),
        pointer: GcCell::null(),
        plain: WeakMap::new(mu),
    }
}

/// `long` runs in `Off`, and is given a function that goes on until it is in `Arm`, and waits until a mutation in `Mark` has made the slots.
/// Runs the rest of the cycle and verifies.
fn beside(heap: &Heap, long: impl for<'gc> Fn(&Mutator<'gc>, Go<'_, 'gc>) + Send) -> Root<Slots<'static>> {
    let workers = Workers::none();
    let mut cycle = Cycle::begin(heap.core(), &workers);
    let (in_off, is_off) = channel();
    let (in_arm, is_arm) = channel();
    let (made, is_made) = channel::<()>();
    let root: Mutex<Option<Root<Slots<'static>>>> = Mutex::new(None);
    thread::scope(|scope| {
        let root = &root;
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                let go = || {
                    in_off.send(()).unwrap();
                    stay_while(mu, Mode::Off);
                    in_arm.send(()).unwrap();
                    is_made.recv().unwrap();
                    root.lock().unwrap().as_ref().unwrap().get(mu)
                };
                long(mu, &go);
                assert_eq!(mu.mode(), Mode::Arm);
            });
        });
        is_off.recv().unwrap();
        let marker = scope.spawn(move || {
            is_arm.recv().unwrap();
            mutate_in(heap, Mode::Mark, |mu| {
                let slots = mu.alloc(slots(mu));
                *root.lock().unwrap() = Some(mu.root(slots));
            });
            made.send(()).unwrap();
        });
        cycle.take_the_snapshot();
        marker.join().unwrap();
    });
    let root = root.into_inner().unwrap().unwrap();
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
    root
}

fn heap() -> Heap {
    Heap::builder().processors(2).growth_percent(100_000).build().unwrap()
}

/// Entries of every map that is in the slots.
fn entries<'gc>(mu: &Mutator<'gc>, slots: &Slots<'gc>) -> Vec<Entry<'gc>> {
    let mut all = slots.plain.entries(mu);
    if let Some(holder) = slots.cell.load() {
        all.extend(holder.map.entries(mu));
    }
    slots.mutex.lock(mu).iter().for_each(|map| all.extend(map.entries(mu)));
    slots.rw.read(mu).iter().for_each(|map| all.extend(map.entries(mu)));
    slots.once.get().iter().for_each(|map| all.extend(map.entries(mu)));
    for each in &*slots.nested.lock(mu) {
        each.lock(mu).iter().for_each(|map| all.extend(map.entries(mu)));
    }
    for holder in slots.slices.load().into_iter().flatten() {
        all.extend(holder.map.entries(mu));
    }
    if let Some(map) = slots.outer.remove(mu, slots.outer_key) {
        all.extend(map.entries(mu));
        slots.outer.insert(mu, slots.outer_key, map);
    }
    all
}

/// Each key and each value that is not dropped is in an entry, and there is nothing else.
#[track_caller]
fn assert_all_there(all: &[Entry<'_>], keys: &Arc<()>, values: &Arc<()>, name: &str) {
    assert_eq!([keys, values].map(|each| Arc::strong_count(each) - 1), [all.len(); 2], "{name}");
    assert!(all.iter().all(|(key, value)| Arc::ptr_eq(key, keys) && Arc::ptr_eq(value, values)), "{name}");
}

type Put = for<'gc> fn(&Mutator<'gc>, &Slots<'gc>, Map<'gc>);

const PUTS: [(&str, Put); 9] = [
    ("cell", |mu, slots, map| slots.cell.store(mu, mu.alloc(Holder { map }))),
    ("mutex", |mu, slots, map| slots.mutex.lock(mu).push(map)),
    ("rw", |mu, slots, map| *slots.rw.write(mu) = Some(map)),
    ("once", |mu, slots, map| assert!(slots.once.set(mu, map).is_ok())),
    ("once_init", |mu, slots, map| _ = slots.once.get_or_init(mu, || map)),
    ("outer", |mu, slots, map| assert!(slots.outer.insert(mu, slots.outer_key, map).is_none())),
    ("nested", |mu, slots, map| *slots.nested.lock(mu)[0].get_mut() = Some(map)),
    ("nested_push", |mu, slots, map| slots.nested.lock(mu).push(GcMutex::new(Some(map)))),
    ("slice", |mu, slots, map| {
        let mut map = Some(map);
        slots.slices.store(mu, mu.alloc_slice_with(1, |_| Holder { map: map.take().unwrap() }));
    }),
];

/// A map that a mutation of Off has made, with keys and values of Off and of Arm, is moved into what was born in Mark.
#[test]
fn a_map_of_off_moved_into_what_mark_made() {
    for (name, put) in PUTS {
        for keep_key in [false, true] {
            let heap = heap();
            let [keys, values] = [(); 2].map(|()| Arc::new(()));
            let kept: Mutex<Option<Root<Arc<()>>>> = Mutex::new(None);
            let root = beside(&heap, |mu, go| {
                let map = Map::new(mu);
                let off = mu.alloc(Arc::clone(&keys));
                map.insert(mu, off, mu.alloc(Arc::clone(&values)));
                let slots = go();
                let arm = mu.alloc(Arc::clone(&keys));
                map.insert(mu, arm, mu.alloc(Arc::clone(&values)));
                put(mu, slots.as_ref(), map);
                if keep_key {
                    *kept.lock().unwrap() = Some(mu.root(off));
                }
            });
            heap.mutate(|mu| assert_all_there(&entries(mu, root.get(mu).as_ref()), &keys, &values, name));
            heap.collect();
            heap.verify().unwrap();
            let expected = usize::from(keep_key);
            assert_eq!(heap.mutate(|mu| entries(mu, root.get(mu).as_ref()).len()), expected, "{name}");
            assert_eq!((Arc::strong_count(&keys), Arc::strong_count(&values)), (expected + 1, expected + 1));
        }
    }
}

/// What Arm reads out of an old map (entries, get, remove), or upgrades, and puts as key, value, or into a field of what Mark made.
#[test]
fn what_arm_reads_goes_into_what_mark_made() {
    for how in 0..5 {
        let heap = heap();
        let [keys, values] = [(); 2].map(|()| Arc::new(()));
        let (old, weak): (Root<Holder<'static>>, WeakRoot<Arc<()>>) = heap.mutate(|mu| {
            let old = mu.alloc(Holder { map: Map::new(mu) });
            let key = mu.alloc(Arc::clone(&keys));
            old.map.insert(mu, key, mu.alloc(Arc::clone(&values)));
            (mu.root(old), mu.weak_root(key))
        });
        let root = beside(&heap, |mu, go| {
            let early = (how == 0).then(|| old.get(mu).as_ref().map.entries(mu));
            let slots = go();
            let key = weak.upgrade(mu).unwrap();
            let map = &old.get(mu).as_ref().map;
            match how {
                0 => early.unwrap().into_iter().for_each(|(k, v)| _ = slots.plain.insert(mu, k, v)),
                1 => {
                    let v = map.get(mu, key).unwrap();
                    slots.plain.get_or_insert_with(mu, key, || v);
                    map.clear(mu);
                }
                2 => {
                    let v = map.remove(mu, key).unwrap();
                    slots.plain.insert(mu, key, v);
                }
                3 => {
                    let (k, v) = map.entries(mu).pop().unwrap();
                    slots.pointer.store(mu, k);
                    slots.pointers.lock(mu).push(v);
                }
                _ => {
                    // Both the same, white, newborn, and replaced.
                    let newborn = mu.alloc(Arc::clone(&keys));
                    slots.plain.insert(mu, newborn, newborn);
                    let old = slots.plain.insert(mu, newborn, mu.alloc(Arc::clone(&values)));
                    slots.pointers.lock(mu).extend(old);
                }
            }
        });
        heap.mutate(|mu| {
            let slots = root.get(mu).as_ref();
            let all = slots.plain.entries(mu);
            assert_eq!(all.len(), usize::from(how != 3), "{how}");
            assert!(all.iter().all(|(k, v)| Arc::ptr_eq(k, &keys) && Arc::ptr_eq(v, &values)), "{how}");
            if how == 3 {
                assert!(Arc::ptr_eq(&slots.pointer.load().unwrap(), &keys));
                assert!(Arc::ptr_eq(&slots.pointers.lock(mu)[0], &values));
            }
        });
        heap.collect();
        heap.verify().unwrap();
    }
}

/// Weak things that are not maps: an interner, a weak cell, a cleanup, whose target is a white newborn of Arm.
#[test]
fn weak_things_of_mark_with_targets_of_arm() {
    let heap = heap();
    let alive = Arc::new(());
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let root = beside(&heap, |mu, go| {
        let off = mu.alloc(Arc::clone(&alive));
        let off_weak = mu.downgrade(off);
        let slots = go();
        slots.keys.intern_value(mu, 41);
        slots.keys.intern_value(mu, 42);
        let arm = mu.alloc(Arc::clone(&alive));
        slots.weak.store(mu, off_weak);
        slots.weak.store(mu, mu.downgrade(arm));
        let tell = tell.lock().unwrap().clone();
        mu.on_collect(arm, move |_| tell.send(()).unwrap());
    });
    drop(tell);
    assert_eq!(Arc::strong_count(&alive), 1, "weak things keep nothing");
    heap.collect();
    told.recv().unwrap();
    heap.mutate(|mu| {
        let slots = root.get(mu);
        assert!(slots.weak.upgrade(mu).is_none());
    });
}

/// A lock in what `Mark` made is looked behind for the first time after the decision: the map there does not count as reached in the next cycle.
#[test]
fn a_map_that_is_come_to_too_late_is_not_reached() {
    let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
    let [keys, values] = [(); 2].map(|()| Arc::new(()));
    let (core, none) = (heap.core(), Workers::none());
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    let root: Root<Slots<'static>> = heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        let map = Map::new(mu);
        map.insert(mu, mu.alloc(Arc::clone(&keys)), mu.alloc(Arc::clone(&values)));
        mu.root(mu.alloc(Slots { mutex: GcMutex::new(vec![map]), ..slots(mu) }))
    });
    cycle.mark();
    cycle.close();
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Close);
        let slots = root.get(mu).as_ref();
        let map = slots.mutex.lock(mu).pop().unwrap();
        map.insert(mu, mu.alloc(Arc::clone(&keys)), mu.alloc(Arc::clone(&values)));
        slots.outer.insert(mu, slots.outer_key, map);
    });
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
    assert_eq!(core.decision.ephemerons.reached(), 0, "no cycle runs");
    assert_eq!(heap.mutate(|mu| entries(mu, root.get(mu).as_ref()).len()), 2);
    // In the next cycle it is moved again, in `Close`.
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    handshake(core, Mode::Close, colour_of_cycle(core.memory.marked_cycle() + 1));
    heap.mutate(|mu| {
        let slots = root.get(mu).as_ref();
        let map = slots.outer.remove(mu, slots.outer_key).unwrap();
        slots.mutex.lock(mu).push(map);
    });
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
    let left = heap.mutate(|mu| entries(mu, root.get(mu).as_ref()).len());
    assert_eq!((Arc::strong_count(&keys), Arc::strong_count(&values)), (left + 1, left + 1));
    heap.collect();
    assert_eq!(Arc::strong_count(&keys), 1);
}

#[derive(Trace)]
struct Hooked<'gc> {
    hook: Hook,
    value: Option<Gc<'gc, Arc<()>>>,
}

#[derive(Trace)]
struct Lost<'gc> {
    behind: GcMutex<Vec<Gc<'gc, u64>>>,
    rw: GcRwLock<Vec<Gc<'gc, u64>>>,
}

/// In the midst of a pass a mutation in Close upgrades what is lost, and takes a key out from behind a lock there: the lock's shade marks the
/// key, whose type has nothing to trace, without a word.
#[test]
fn a_key_that_is_marked_without_a_word_in_mid_pass() {
    for is_mutex in [false, true] {
        let heap = Arc::new(Heap::builder().processors(1).growth_percent(100_000).build().unwrap());
        let (value, none, hook) = (Arc::new(()), Workers::none(), Hook::default());
        let core = heap.core();
        type Map<'gc> = WeakMap<'gc, u64, Hooked<'gc>>;
        let (map, weak, other): (Root<Map<'static>>, WeakRoot<Lost<'static>>, Root<u64>) = heap.mutate(|mu| {
            let map = mu.alloc(Map::new(mu));
            let (first, last) = (key_in(mu, 0), key_in(mu, PARTS - 1));
            map.insert(mu, first, Hooked { hook: Hook::default(), value: Some(mu.alloc(Arc::clone(&value))) });
            map.insert(mu, last, Hooked { hook: hook.clone(), value: None });
            let lost = mu.alloc(Lost { behind: GcMutex::new(vec![first]), rw: GcRwLock::new(vec![first]) });
            (mu.root(map), mu.weak_root(lost), mu.root(last))
        });
        let key: Arc<Mutex<Option<Root<u64>>>> = Arc::default();
        let run = {
            let (heap, key) = (Arc::clone(&heap), Arc::clone(&key));
            move || {
                heap.mutate(|mu| {
                    assert_eq!(mu.mode(), Mode::Close);
                    let lost = weak.upgrade(mu).unwrap();
                    let first = if is_mutex {
                        _ = lost.rw.write(mu).pop();
                        lost.behind.lock(mu).pop()
                    } else {
                        _ = lost.behind.lock(mu).pop();
                        lost.rw.write(mu).pop()
                    };
                    *key.lock().unwrap() = Some(mu.root(first.unwrap()));
                });
            }
        };
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        handshake(core, Mode::Close, colour_of_cycle(core.memory.marked_cycle() + 1));
        *hook.0.lock().unwrap() = Some(Box::new(move || thread::spawn(run).join().unwrap()));
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.verify().unwrap();
        assert_eq!(Arc::strong_count(&value), 2, "the value was dropped while its key lives");
        let key = key.lock().unwrap().take().unwrap();
        heap.mutate(|mu| assert!(map.get(mu).len() == 2 && map.get(mu).contains_key(key.get(mu))));
        drop(other);
    }
}

/// In the midst of a pass over weak maps a mutation in `Close` stores over a leaf that is a key, which a value leads to that the pass has marked,
/// and not traced yet.
#[test]
fn a_key_that_is_stored_over_in_mid_pass_keeps_its_value() {
    #[derive(Trace)]
    struct Inner<'gc> {
        hook: Hook,
        leads: GcCell<'gc, u64>,
        value: GcCell<'gc, Arc<()>>,
    }
    #[derive(Trace)]
    struct Outer<'gc> {
        map: WeakMap<'gc, u64, Gc<'gc, Inner<'gc>>>,
    }

    let heap = Arc::new(Heap::builder().processors(1).growth_percent(100_000).build().unwrap());
    let (value, none, hook) = (Arc::new(()), Workers::none(), Hook::default());
    let (outer, alive): (Root<Outer<'static>>, Root<u64>) = heap.mutate(|mu| {
        let outer = mu.alloc(Outer { map: WeakMap::new(mu) });
        // The pass comes to the dead key first.
        let (dead, alive) = (key_in(mu, 0), key_in(mu, PARTS - 1));
        let inner = |hook, leads, value| mu.alloc(Inner { hook, leads: GcCell::new(leads), value: GcCell::new(value) });
        outer.map.insert(mu, dead, inner(Hook::default(), None, Some(mu.alloc(Arc::clone(&value)))));
        outer.map.insert(mu, alive, inner(hook.clone(), Some(dead), None));
        (mu.root(outer), mu.root(alive))
    });
    let (outer, alive) = (Arc::new(outer), Arc::new(alive));
    let kept: Arc<Mutex<Option<Root<u64>>>> = Arc::default();
    let run = {
        let (heap, outer, alive, kept) = (Arc::clone(&heap), Arc::clone(&outer), Arc::clone(&alive), Arc::clone(&kept));
        move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Close);
                let inner = outer.get(mu).map.get(mu, alive.get(mu)).unwrap();
                let key = inner.leads.load().unwrap();
                inner.leads.clear(mu);
                *kept.lock().unwrap() = Some(mu.root(key));
            });
        }
    };
    let mut cycle = Cycle::begin(heap.core(), &none);
    cycle.take_the_snapshot();
    cycle.mark();
    handshake(heap.core(), Mode::Close, colour_of_cycle(heap.core().memory.marked_cycle() + 1));
    *hook.0.lock().unwrap() = Some(Box::new(move || thread::spawn(run).join().unwrap()));
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
    assert_eq!(Arc::strong_count(&value), 2, "the value was dropped while its key lives");
    let key = kept.lock().unwrap().take().unwrap();
    heap.mutate(|mu| {
        let inner = outer.get(mu).map.get(mu, key.get(mu)).unwrap();
        assert!(Arc::ptr_eq(&inner.value.load().unwrap(), &value));
    });
}

/// A mutation that begins in Mark, has a map of its own, and goes on into Arm of the next cycle, where it moves it into what Mark made.
#[test]
fn a_map_that_goes_from_mark_to_arm() {
    for (name, put) in PUTS {
        let heap = heap();
        let [keys, values] = [(); 2].map(|()| Arc::new(()));
        let (core, none) = (heap.core(), Workers::none());
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        let (begun, has_begun) = channel();
        let (in_arm, is_arm) = channel();
        let (made, is_made) = channel::<()>();
        let root: Mutex<Option<Root<Slots<'static>>>> = Mutex::new(None);
        thread::scope(|scope| {
            let (root, heap, keys, values) = (&root, &heap, &keys, &values);
            scope.spawn(move || {
                heap.mutate(|mu| {
                    assert_eq!(mu.mode(), Mode::Mark);
                    let map = Map::new(mu);
                    let add = || _ = map.insert(mu, mu.alloc(Arc::clone(keys)), mu.alloc(Arc::clone(values)));
                    add();
                    begun.send(()).unwrap();
                    stay_while(mu, Mode::Mark);
                    add();
                    stay_while(mu, Mode::Close);
                    add();
                    stay_while(mu, Mode::Off);
                    add();
                    in_arm.send(()).unwrap();
                    is_made.recv().unwrap();
                    add();
                    put(mu, root.lock().unwrap().as_ref().unwrap().get(mu).as_ref(), map);
                });
            });
            has_begun.recv().unwrap();
            cycle.mark();
            cycle.close();
            cycle.switch_off();
            cycle.sweep();
            let marker = scope.spawn(move || {
                is_arm.recv().unwrap();
                mutate_in(heap, Mode::Mark, |mu| {
                    *root.lock().unwrap() = Some(mu.root(mu.alloc(slots(mu))));
                });
                made.send(()).unwrap();
            });
            let mut cycle = Cycle::begin(core, &none);
            cycle.take_the_snapshot();
            marker.join().unwrap();
            cycle.mark();
            cycle.close();
            cycle.switch_off();
            cycle.sweep();
            heap.verify().unwrap();
        });
        let root = root.into_inner().unwrap().unwrap();
        heap.mutate(|mu| assert_all_there(&entries(mu, root.get(mu).as_ref()), &keys, &values, name));
        heap.collect();
        heap.verify().unwrap();
        assert_eq!(Arc::strong_count(&keys), 1, "{name}");
    }
}
