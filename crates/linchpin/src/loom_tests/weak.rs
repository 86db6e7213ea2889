//! Weak pointers against the end of a mark: an upgrade gives what lives, and keeps it, or nothing.

use super::{Rooted, Thing, explore, heap, is_allocated, lone, mark_of, spawn, thing};
use crate::collector::cycle::Cycle;
use crate::collector::handshake::handshake;
use crate::collector::workers::Workers;
use crate::processor::phase::Mode;
use crate::sync::Arc;
use crate::{Gc, Heap, Mutator, Root, Trace, Tracer, WeakMap, WeakRoot};

type WeakThing = WeakRoot<Thing<'static>>;

/// A weak root of an object that nothing else leads to.
fn lost(heap: &Heap, content: u64) -> WeakThing {
    heap.mutate(|mu| mu.weak_root(thing(mu, content, None)))
}

/// Upgrades, and stores what it gets behind the root.
fn keep(mu: &Mutator<'_>, weak: &WeakThing, root: &Rooted) -> bool {
    let upgraded = weak.upgrade(mu);
    root.get(mu).next.store(mu, upgraded);
    upgraded.is_some()
}

/// Fails unless the object is there if and only if it was kept.
fn assert_kept(heap: &Heap, weak: &WeakThing, root: &Rooted, kept: bool, content: u64) {
    heap.mutate(|mu| {
        let held = root.get(mu).next.load();
        assert_eq!(held.is_some(), kept);
        assert_eq!(weak.upgrade(mu).is_some(), kept);
        if let Some(object) = held {
            assert!(is_allocated(heap, object), "it is reachable, and was freed");
            assert_eq!(object.read(), content);
            assert!(Gc::ptr_eq(object, weak.upgrade(mu).unwrap()));
        }
    });
}

/// From `Mark` on, with the end of the mark coming at any time.
#[test]
fn what_is_upgraded_is_not_lost() {
    explore("what_is_upgraded_is_not_lost", 2, || {
        let heap = heap(1);
        let (weak, root) = (Arc::new(lost(&heap, 1)), Arc::new(lone(&heap, 2)));
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let mutator = {
            let (heap, weak, root) = (Arc::clone(&heap), Arc::clone(&weak), Arc::clone(&root));
            spawn(move || heap.mutate(|mu| keep(mu, &weak, &root)))
        };
        cycle.close();
        let kept = mutator.join().unwrap();
        cycle.switch_off();
        cycle.sweep();
        assert_kept(&heap, &weak, &root, kept, 1);
    });
}

/// The upgrade in `Close` against the decision: the closing round is through.
#[test]
fn an_upgrade_and_the_decision_agree() {
    explore("an_upgrade_and_the_decision_agree", 3, || {
        let heap = heap(1);
        let (weak, root) = (Arc::new(lost(&heap, 1)), Arc::new(lone(&heap, 2)));
        let core = heap.core();
        let none = Workers::none();
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let before = core.queue.pushed();
        let black = heap.mutate(|mu| mark_of(&heap, root.get(mu)));
        handshake(core, Mode::Close, black);
        let mutator = {
            let (heap, weak, root) = (Arc::clone(&heap), Arc::clone(&weak), Arc::clone(&root));
            spawn(move || {
                heap.mutate(|mu| {
                    assert_eq!(mu.mode(), Mode::Close);
                    keep(mu, &weak, &root)
                })
            })
        };
        let decided = core.decision.decide(&core.queue, before);
        if decided {
            core.decision.clear(&core.memory.region, black);
        }
        let kept = mutator.join().unwrap();
        assert_ne!(kept, decided);
        if decided {
            cycle.note_decided();
        } else {
            cycle.close();
        }
        cycle.switch_off();
        cycle.sweep();
        assert_kept(&heap, &weak, &root, kept, 1);
    });
}

/// Two mutations ask for the handle of an object that has none: they get the same one.
#[test]
fn two_who_downgrade_get_one_handle() {
    explore("two_who_downgrade_get_one_handle", 2, || {
        let heap = heap(2);
        let root = Arc::new(lone(&heap, 1));
        let other = {
            let (heap, root) = (Arc::clone(&heap), Arc::clone(&root));
            spawn(move || heap.mutate(|mu| mu.weak_root(root.get(mu))))
        };
        let weak = heap.mutate(|mu| mu.weak_root(root.get(mu)));
        let other = other.join().unwrap();
        heap.mutate(|mu| {
            assert!(weak.get(mu) == other.get(mu));
            assert!(Gc::ptr_eq(other.upgrade(mu).unwrap(), root.get(mu)));
        });
    });
}

/// A handle that nobody has any more is asked for while the mark ends: the old one or a new one, it leads to the object.
#[test]
fn a_handle_that_is_asked_for_is_there() {
    explore("a_handle_that_is_asked_for_is_there", 1, || {
        let heap = heap(1);
        let root = Arc::new(lone(&heap, 1));
        heap.mutate(|mu| _ = mu.downgrade(root.get(mu)));
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let mutator = {
            let (heap, root) = (Arc::clone(&heap), Arc::clone(&root));
            spawn(move || heap.mutate(|mu| mu.weak_root(root.get(mu))))
        };
        cycle.close();
        let weak = mutator.join().unwrap();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu)));
            assert!(weak.get(mu) == mu.downgrade(root.get(mu)));
        });
    });
}

/// An object with a weak map, of the one size there is.
#[repr(align(16384))]
struct Holder<'gc> {
    map: WeakMap<'gc, Thing<'gc>, Gc<'gc, Thing<'gc>>>,
}

// SAFETY: all that it holds is reported.
unsafe impl Trace for Holder<'_> {
    type Branded<'b> = Holder<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.map.trace(tracer);
    }
}

/// The key of the only entry of a map, whose value nothing else leads to; the map; and a place elsewhere.
struct Entry {
    key: Rooted,
    map: Root<Holder<'static>>,
    place: Rooted,
}

fn entry(heap: &Heap, content: u64) -> Arc<Entry> {
    let key = lone(heap, 2);
    let map = heap.mutate(|mu| {
        let map = mu.alloc(Holder { map: WeakMap::new(mu) });
        map.map.insert(mu, key.get(mu), thing(mu, content, None));
        mu.root(map)
    });
    Arc::new(Entry { key, map, place: lone(heap, 3) })
}

/// Moves the value to the other place.
fn move_value(mu: &Mutator<'_>, entry: &Entry) {
    let moved = entry.map.get(mu).map.remove(mu, entry.key.get(mu));
    entry.place.get(mu).next.store(mu, moved.expect("the key is alive"));
}

fn assert_moved(heap: &Heap, entry: &Entry, content: u64) {
    heap.mutate(|mu| {
        let object = entry.place.get(mu).next.load().expect("it was stored there");
        assert!(is_allocated(heap, object), "it is reachable, and was freed");
        assert_eq!(object.read(), content);
    });
}

/// A mutation takes the value out of a weak map, from `Mark` on, while the collector passes over the entries and decides.
#[test]
fn what_is_taken_out_of_a_map_is_not_lost() {
    explore("what_is_taken_out_of_a_map_is_not_lost", 2, || {
        let heap = heap(1);
        let entry = entry(&heap, 1);
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let mutator = {
            let (heap, entry) = (Arc::clone(&heap), Arc::clone(&entry));
            spawn(move || heap.mutate(|mu| move_value(mu, &entry)))
        };
        cycle.close();
        mutator.join().unwrap();
        cycle.switch_off();
        cycle.sweep();
        assert_moved(&heap, &entry, 1);
    });
}

/// The same in `Close`, against the pass and the decision: the closing round is through.
#[test]
fn a_map_and_the_decision_agree() {
    explore("a_map_and_the_decision_agree", 3, || {
        let heap = heap(1);
        let entry = entry(&heap, 1);
        let core = heap.core();
        let none = Workers::none();
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let before = core.queue.pushed();
        let black = heap.mutate(|mu| mark_of(&heap, entry.key.get(mu)));
        handshake(core, Mode::Close, black);
        let mutator = {
            let (heap, entry) = (Arc::clone(&heap), Arc::clone(&entry));
            spawn(move || heap.mutate(|mu| move_value(mu, &entry)))
        };
        let traced = cycle.trace_ephemerons();
        let decided = !traced && core.decision.decide(&core.queue, before);
        if decided {
            core.decision.clear(&core.memory.region, black);
        }
        mutator.join().unwrap();
        assert!(!decided, "the value was white, and is in use");
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        assert_moved(&heap, &entry, 1);
    });
}

/// An object with a weak map that is part of another's value, or was.
#[repr(align(16384))]
struct Nested<'gc> {
    outer: WeakMap<'gc, Thing<'gc>, Inner<'gc>>,
    inner: Option<Inner<'gc>>,
}

type Inner<'gc> = WeakMap<'gc, Thing<'gc>, Gc<'gc, Thing<'gc>>>;

// SAFETY: all that it holds is reported.
unsafe impl Trace for Nested<'_> {
    type Branded<'b> = Nested<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.outer.trace(tracer);
        self.inner.trace(tracer);
    }
}

/// A map that is a value in another is moved into a new object, in `Close`, while the collector passes over the entries and decides.
/// Nothing is marked by that; the map must be looked at all the same.
#[test]
fn a_map_that_moves_is_looked_at() {
    explore("a_map_that_moves_is_looked_at", 3, || {
        let heap = heap(1);
        let key = Arc::new(lone(&heap, 2));
        let nested: Arc<Root<Nested<'static>>> = Arc::new(heap.mutate(|mu| {
            let nested = mu.alloc(Nested { outer: WeakMap::new(mu), inner: None });
            let inner = Inner::new(mu);
            inner.insert(mu, key.get(mu), thing(mu, 1, None));
            nested.outer.insert(mu, key.get(mu), inner);
            mu.root(nested)
        }));
        let core = heap.core();
        let none = Workers::none();
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let before = core.queue.pushed();
        let black = heap.mutate(|mu| mark_of(&heap, key.get(mu)));
        handshake(core, Mode::Close, black);
        let mutator = {
            let (heap, key, nested) = (Arc::clone(&heap), Arc::clone(&key), Arc::clone(&nested));
            spawn(move || -> Root<Nested<'static>> {
                heap.mutate(|mu| {
                    let inner = nested.get(mu).outer.remove(mu, key.get(mu));
                    mu.root(mu.alloc(Nested { outer: WeakMap::new(mu), inner }))
                })
            })
        };
        let decided = !cycle.trace_ephemerons() && core.decision.decide(&core.queue, before);
        if decided {
            core.decision.clear(&core.memory.region, black);
        }
        let moved = mutator.join().unwrap();
        assert!(!decided, "a value of a map that is in use is white");
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let value = moved.get(mu).inner.as_ref().expect("it was there").get(mu, key.get(mu));
            let value = value.expect("its key is alive");
            assert!(is_allocated(&heap, value), "it is reachable, and was freed");
            assert_eq!(value.read(), 1);
        });
    });
}
