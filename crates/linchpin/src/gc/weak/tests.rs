//! Upgrades at each step of a cycle, which a test from outside cannot arrange. The steps are taken here, on the test's thread.

use std::sync::Arc;

use super::Weak;
use crate::collector::cycle::Cycle;
use crate::collector::handshake::handshake;
use crate::collector::workers::Workers;
use crate::heap::Core;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{Gc, GcCell, GcMutex, Heap, Mutator, Root, Trace, WeakMap, WeakRoot};

fn heap() -> Heap {
    Heap::builder().processors(1).build().unwrap()
}

/// A node that leads to a value whose drop is seen by its count.
#[derive(Trace)]
struct Node<'gc> {
    value: GcCell<'gc, Arc<()>>,
}

fn node<'gc>(mu: &Mutator<'gc>, value: &Arc<()>) -> Gc<'gc, Node<'gc>> {
    mu.alloc(Node { value: GcCell::new(mu.alloc(Arc::clone(value))) })
}

/// A weak root of a node that nothing else leads to.
fn lost(heap: &Heap, value: &Arc<()>) -> WeakRoot<Node<'static>> {
    heap.mutate(|mu| mu.weak_root(node(mu, value)))
}

/// The rest of a cycle, after its mark has been closed.
fn finish(mut cycle: Cycle<'_>) {
    cycle.switch_off();
    cycle.sweep();
}

fn finish_all(mut cycle: Cycle<'_>) {
    cycle.close();
    finish(cycle);
}

/// The colour of what lives, in the cycle that is on.
fn black(core: &Core) -> u8 {
    colour_of_cycle(core.memory.marked_cycle() + 1)
}

/// Upgrades in a mutation in this mode, and keeps what it gets.
fn upgrade_in(heap: &Heap, mode: Mode, weak: &WeakRoot<Node<'static>>) -> Option<Root<Node<'static>>> {
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), mode);
        weak.upgrade(mu).map(|node| mu.root(node))
    })
}

fn assert_kept(heap: &Heap, root: &Root<Node<'static>>, value: &Arc<()>) {
    assert_eq!(Arc::strong_count(value), 2, "the value was dropped while a root leads to it");
    heap.mutate(|mu| assert!(Arc::ptr_eq(&root.get(mu).value.load().unwrap(), value)));
}

#[test]
fn an_upgrade_in_mark_shades() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let weak = lost(&heap, &value);
    let mut cycle = Cycle::begin(heap.core(), &none);
    cycle.take_the_snapshot();
    cycle.mark();
    // Roots have been walked: nothing but the upgrade tells of it.
    let root = upgrade_in(&heap, Mode::Mark, &weak).expect("it is not decided yet");
    finish_all(cycle);
    assert_kept(&heap, &root, &value);
    drop(root);
    heap.collect();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn an_upgrade_before_the_decision_puts_it_off() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let weak = lost(&heap, &value);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    let root = upgrade_in(&heap, Mode::Close, &weak).expect("it is not decided yet");
    assert!(!core.decision.decide(&core.queue, before), "decided, though something was shaded after the round");
    finish_all(cycle);
    assert_kept(&heap, &root, &value);
    heap.mutate(|mu| assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu))));
}

/// Between the decision and the moment in which the weak pointer is cleared, and ever after.
#[test]
fn an_upgrade_after_the_decision_fails_for_good() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let weak = lost(&heap, &value);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    assert!(core.decision.decide(&core.queue, before));
    assert!(upgrade_in(&heap, Mode::Close, &weak).is_none());
    core.decision.clear(&core.memory.region, black(core));
    assert!(upgrade_in(&heap, Mode::Close, &weak).is_none());
    cycle.note_decided();
    finish(cycle);
    assert!(upgrade_in(&heap, Mode::Off, &weak).is_none());
    assert_eq!(Arc::strong_count(&value), 1, "it was dropped");
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    assert!(upgrade_in(&heap, Mode::Mark, &weak).is_none());
    cycle.mark();
    finish_all(cycle);
}

/// What lives can be upgraded after the decision, too; and what is upgraded in the next cycle is not taken for decided.
#[test]
fn a_decision_concerns_the_dead_of_one_cycle() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let (root, weak): (Root<Node<'static>>, _) = heap.mutate(|mu| {
        let node = node(mu, &value);
        (mu.root(node), mu.weak_root(node))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    cycle.close();
    assert!(upgrade_in(&heap, Mode::Close, &weak).is_some());
    finish(cycle);
    drop(root);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    handshake(core, Mode::Close, black(core));
    let root = upgrade_in(&heap, Mode::Close, &weak).expect("the cycle before has not decided about it");
    finish_all(cycle);
    assert_kept(&heap, &root, &value);
}

/// Nothing leads to the handle any more when it is asked for again: after the decision there is a new one.
#[test]
fn a_handle_is_not_raised_from_the_dead() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let handle_of = |weak: Weak<'_, Node<'_>>| weak.handle.start().addr();
    let (root, old): (Root<Node<'static>>, _) = heap.mutate(|mu| {
        let node = node(mu, &value);
        (mu.root(node), handle_of(mu.downgrade(node)))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    assert!(core.decision.decide(&core.queue, before));
    let weak = heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Close);
        let weak = mu.downgrade(root.get(mu));
        assert_ne!(handle_of(weak), old, "the old one is going to be freed");
        assert!(weak == mu.downgrade(root.get(mu)), "one handle for an object");
        weak.root(mu)
    });
    core.decision.clear(&core.memory.region, black(core));
    cycle.note_decided();
    finish(cycle);
    heap.verify().unwrap();
    heap.mutate(|mu| {
        assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu)));
        assert!(weak.get(mu) == mu.downgrade(root.get(mu)));
    });
}

/// The same before the decision: it is the old one, which is kept.
#[test]
fn a_handle_that_is_asked_for_again_is_kept() {
    for mode in [Mode::Mark, Mode::Close] {
        let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
        let core = heap.core();
        let root: Root<Node<'static>> = heap.mutate(|mu| {
            let node = node(mu, &value);
            mu.downgrade(node);
            mu.root(node)
        });
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        if mode == Mode::Close {
            handshake(core, Mode::Close, black(core));
        }
        let weak = heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            mu.weak_root(root.get(mu))
        });
        finish_all(cycle);
        heap.verify().unwrap();
        heap.mutate(|mu| {
            assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu)));
            assert!(weak.get(mu) == mu.downgrade(root.get(mu)));
        });
    }
}

/// The table has entries for what has handles only, and gives room back.
#[test]
fn the_table_shrinks_with_what_it_has() {
    let heap = heap();
    let handles = || {
        let mut count = 0;
        heap.core().decision.handles.for_each(|_, _| count += 1);
        count
    };
    let roots: Vec<_> = heap.mutate(|mu| {
        (0..20_000_u64)
            .map(|number| {
                let object = mu.alloc(number);
                (mu.root(object), mu.weak_root(object))
            })
            .collect()
    });
    assert_eq!(handles(), 20_000);
    let room = heap.core().decision.handles.room();
    heap.collect();
    assert_eq!(handles(), 20_000);
    heap.mutate(|mu| assert!(roots.iter().all(|(root, weak)| Gc::ptr_eq(root.get(mu), weak.upgrade(mu).unwrap()))));
    let (strong, weak): (Vec<_>, Vec<_>) = roots.into_iter().unzip();
    drop(weak);
    heap.collect();
    assert_eq!(handles(), 0, "nobody has a weak pointer");
    assert!(heap.core().decision.handles.room() < room / 4);
    drop(strong);
}

/// A map that is the only way to a value whose drop is seen by its count.
#[derive(Trace)]
struct Maps<'gc> {
    map: WeakMap<'gc, u64, Gc<'gc, Node<'gc>>>,
    kept: GcCell<'gc, Node<'gc>>,
}

/// A map in which `key` has a value that leads to `value`.
fn maps(heap: &Heap, value: &Arc<()>) -> (Root<Maps<'static>>, Root<u64>) {
    heap.mutate(|mu| {
        let key = mu.alloc(7_u64);
        let maps = mu.alloc(Maps { map: WeakMap::new(mu), kept: GcCell::null() });
        assert!(maps.map.insert(mu, key, node(mu, value)).is_none());
        (mu.root(maps), mu.root(key))
    })
}

/// Moves the value out of the map, with the key in hand, and makes the map its key's no more.
fn move_out(
    mu: &Mutator<'_>,
    maps: &Root<Maps<'static>>,
    key: &Root<u64>,
    by: fn(&Mutator<'_>, &Root<Maps<'static>>, &Root<u64>),
) {
    by(mu, maps, key);
    assert!(maps.get(mu).map.is_empty() && maps.get(mu).kept.load().is_some());
}

fn by_remove(mu: &Mutator<'_>, maps: &Root<Maps<'static>>, key: &Root<u64>) {
    let maps = maps.get(mu);
    maps.kept.store(mu, maps.map.remove(mu, key.get(mu)));
}

fn by_get_and_clear(mu: &Mutator<'_>, maps: &Root<Maps<'static>>, key: &Root<u64>) {
    let maps = maps.get(mu);
    maps.kept.store(mu, maps.map.get(mu, key.get(mu)));
    maps.map.clear(mu);
}

fn by_entries_and_remove(mu: &Mutator<'_>, maps: &Root<Maps<'static>>, key: &Root<u64>) {
    let maps = maps.get(mu);
    maps.kept.store(mu, maps.map.entries(mu)[0].1);
    maps.map.remove(mu, key.get(mu));
}

/// What the only entry of a map leads to is moved elsewhere, in `Mark`, and in `Close` before the decision.
#[test]
fn what_is_moved_out_of_a_map_is_kept() {
    for (mode, by) in [Mode::Mark, Mode::Close].into_iter().flat_map(|mode| {
        [by_remove, by_get_and_clear, by_entries_and_remove]
            .map(|by: fn(&Mutator<'_>, &Root<Maps<'static>>, &Root<u64>)| (mode, by))
    }) {
        let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
        let core = heap.core();
        let (maps, key) = maps(&heap, &value);
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        let before = core.queue.pushed();
        if mode == Mode::Close {
            handshake(core, Mode::Close, black(core));
        }
        heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            move_out(mu, &maps, &key, by);
        });
        if mode == Mode::Close {
            assert!(!core.decision.decide(&core.queue, before), "decided, though something was shaded");
        }
        finish_all(cycle);
        heap.verify().unwrap();
        assert_eq!(Arc::strong_count(&value), 2, "the value was dropped while a field leads to it");
    }
}

/// In `Arm`, the same; and what is put into a map there.
#[test]
fn a_map_is_changed_in_arm() {
    for moves_out in [true, false] {
        let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
        let core = heap.core();
        let (maps, key) = maps(&heap, &value);
        handshake(core, Mode::Arm, black(core));
        heap.mutate(|mu| {
            assert_eq!(mu.mode(), Mode::Arm);
            let maps = maps.get(mu);
            let moved = maps.map.remove(mu, key.get(mu)).unwrap();
            if moves_out {
                assert!(
                    core.memory.region.mark(moved.start().addr().get()).load(std::sync::atomic::Ordering::Relaxed)
                        == black(core)
                );
            }
            maps.map.insert(mu, key.get(mu), moved);
        });
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        finish_all(cycle);
        assert_eq!(Arc::strong_count(&value), 2);
    }
}

/// A key that was upgraded after the pass over ephemerons: there is another one, which finds its value.
#[test]
fn a_key_that_is_upgraded_late_keeps_its_value() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let (maps, key) = maps(&heap, &value);
    let weak = heap.mutate(|mu| mu.weak_root(key.get(mu)));
    drop(key);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    assert!(!cycle.trace_ephemerons(), "the key is not marked");
    let key = heap.mutate(|mu| weak.upgrade(mu).map(|key| mu.root(key))).expect("it is not decided yet");
    assert!(!core.decision.decide(&core.queue, before));
    finish_all(cycle);
    heap.verify().unwrap();
    assert_eq!(Arc::strong_count(&value), 2);
    heap.mutate(|mu| assert!(maps.get(mu).map.contains_key(key.get(mu))));
    drop(key);
    heap.collect();
    assert_eq!(Arc::strong_count(&value), 1);
}

/// A lock in a value that somebody has, as the pass comes to it: what is behind it is shaded, and there is one more round.
#[test]
fn a_lock_in_a_value_is_passed_by() {
    #[derive(Trace)]
    struct Locked<'gc> {
        map: WeakMap<'gc, u64, Arc<u8>>,
        node: GcMutex<Option<Gc<'gc, Node<'gc>>>>,
    }
    #[derive(Trace)]
    struct Outer<'gc> {
        map: WeakMap<'gc, u64, Gc<'gc, Locked<'gc>>>,
    }
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let (outer, key): (Root<Outer<'static>>, _) = heap.mutate(|mu| {
        let key = mu.alloc(7_u64);
        let outer = mu.alloc(Outer { map: WeakMap::new(mu) });
        let locked = mu.alloc(Locked { map: WeakMap::new(mu), node: GcMutex::new(Some(node(mu, &value))) });
        locked.map.insert(mu, key, Arc::new(3));
        outer.map.insert(mu, key, locked);
        (mu.root(outer), mu.root(key))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    // Takes the value in hand, and what is behind the lock with it.
    let taken = heap.mutate(|mu| {
        let locked = outer.get(mu).map.get(mu, key.get(mu)).unwrap();
        let taken = locked.node.lock(mu).take().unwrap();
        mu.root(taken)
    });
    finish_all(cycle);
    heap.verify().unwrap();
    assert_kept(&heap, &taken, &value);
    heap.mutate(|mu| {
        let locked = outer.get(mu).map.get(mu, key.get(mu)).unwrap();
        assert_eq!(locked.map.get(mu, key.get(mu)).as_deref(), Some(&3));
    });
}

/// A value in which there is nothing to trace may be a key: that it was looked up puts the decision off all the same.
#[test]
fn a_value_that_is_a_key_is_kept_with_its_own() {
    #[derive(Trace)]
    struct Two<'gc> {
        first: WeakMap<'gc, u64, Gc<'gc, u64>>,
        second: WeakMap<'gc, u64, Gc<'gc, Node<'gc>>>,
        kept: GcCell<'gc, u64>,
    }
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let (maps, key): (Root<Two<'static>>, Root<u64>) = heap.mutate(|mu| {
        let [key, middle] = [1, 2].map(|number| mu.alloc(number));
        let maps = mu.alloc(Two { first: WeakMap::new(mu), second: WeakMap::new(mu), kept: GcCell::null() });
        maps.first.insert(mu, key, middle);
        maps.second.insert(mu, middle, node(mu, &value));
        (mu.root(maps), mu.root(key))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    heap.mutate(|mu| {
        let maps = maps.get(mu);
        maps.kept.store(mu, maps.first.get(mu, key.get(mu)));
        maps.first.clear(mu);
    });
    assert!(!core.decision.decide(&core.queue, before), "decided, though something was marked");
    finish_all(cycle);
    heap.verify().unwrap();
    assert_eq!(Arc::strong_count(&value), 2);
    heap.mutate(|mu| assert!(maps.get(mu).second.contains_key(maps.get(mu).kept.load().unwrap())));
}

/// A map that is part of a value is moved elsewhere, in `Close`, after the pass has made up its mind which maps there are: the map that
/// was come to puts the decision off, though nothing was marked.
#[test]
fn a_map_that_is_moved_late_is_looked_at() {
    type Inner<'gc> = WeakMap<'gc, u64, Gc<'gc, Node<'gc>>>;
    #[derive(Trace)]
    struct Outer<'gc> {
        map: WeakMap<'gc, u64, Inner<'gc>>,
        elsewhere: GcMutex<Option<Inner<'gc>>>,
    }
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let (outer, key): (Root<Outer<'static>>, Root<u64>) = heap.mutate(|mu| {
        let key = mu.alloc(7_u64);
        let outer = mu.alloc(Outer { map: WeakMap::new(mu), elsewhere: GcMutex::default() });
        let inner = Inner::new(mu);
        inner.insert(mu, key, node(mu, &value));
        outer.map.insert(mu, key, inner);
        (mu.root(outer), mu.root(key))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Close);
        let outer = outer.get(mu);
        let inner = outer.map.remove(mu, key.get(mu));
        *outer.elsewhere.lock(mu) = inner;
    });
    assert!(!core.decision.decide(&core.queue, before), "decided, though a map was come to");
    finish_all(cycle);
    heap.verify().unwrap();
    assert_eq!(Arc::strong_count(&value), 2, "the value was dropped while its key is alive");
    heap.mutate(|mu| {
        let inner = outer.get(mu).elsewhere.lock(mu).take().unwrap();
        assert!(Arc::ptr_eq(&inner.get(mu, key.get(mu)).unwrap().value.load().unwrap(), &value));
    });
}

/// A mutation drops a map that the collector has in hand: its values are dropped with the sweep, and a panic in that goes no further.
#[test]
fn a_map_that_is_dropped_in_the_midst_of_a_pass_is_dropped_with_the_sweep() {
    struct Bomb(Arc<()>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert_eq!(Arc::strong_count(&self.0), 1, "the value panics when it is dropped");
        }
    }
    // SAFETY: it holds no pointers.
    unsafe impl Trace for Bomb {
        type Branded<'b> = Self;
        const NEEDS_TRACE: bool = false;
        fn trace(&self, _: &mut crate::Tracer<'_>) {}
    }
    type Map<'gc> = WeakMap<'gc, u64, Bomb>;
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let (holder, key): (Root<GcMutex<Option<Map<'static>>>>, Root<u64>) = heap.mutate(|mu| {
        let (map, key) = (Map::new(mu), mu.alloc(7_u64));
        map.insert(mu, key, Bomb(Arc::clone(&value)));
        (mu.root(mu.alloc(GcMutex::new(Some(map)))), mu.root(key))
    });
    let mut cycle = Cycle::begin(heap.core(), &none);
    cycle.take_the_snapshot();
    cycle.mark();
    assert!(!cycle.trace_ephemerons());
    heap.mutate(|mu| drop(holder.get(mu).lock(mu).take()));
    assert_eq!(Arc::strong_count(&value), 2, "the collector has it");
    finish_all(cycle);
    assert_eq!((Arc::strong_count(&value), heap.stats().drop_panics), (1, 1));
    drop(key);
}

/// Maps that are gone leave no record.
#[test]
fn a_map_that_is_dropped_is_forgotten() {
    let heap = heap();
    let root: Root<WeakMap<'static, u64, u64>> = heap.mutate(|mu| {
        for _ in 0..100 {
            mu.alloc(WeakMap::<u64, u64>::new(mu));
        }
        mu.root(mu.alloc(WeakMap::<u64, u64>::new(mu)))
    });
    assert_eq!(heap.core().decision.ephemerons.len(), 101);
    heap.collect();
    heap.collect();
    assert_eq!(heap.core().decision.ephemerons.len(), 1);
    drop(root);
}

/// Maps that come and go take no room for long, though no cycle comes.
#[test]
fn maps_that_are_gone_are_looked_for() {
    let heap = heap();
    let kept: Vec<Root<WeakMap<'static, u64, u64>>> = heap.mutate(|mu| {
        (0..10_000)
            .filter_map(|number| {
                let map = WeakMap::<u64, u64>::new(mu);
                (number % 1000 == 0).then(|| mu.root(mu.alloc(map)))
            })
            .collect()
    });
    assert_eq!(heap.stats().cycles, 0);
    assert!(heap.core().decision.ephemerons.len() < 200, "{}", heap.core().decision.ephemerons.len());
    drop(kept);
}
