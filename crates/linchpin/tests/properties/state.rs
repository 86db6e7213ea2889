//! A program's names for roots, weak roots and pinners beside the model of the heap, and the comparison of the heap with it.

use std::collections::{HashMap, HashSet};
use std::ptr::without_provenance;
use std::sync::Weak;

use linchpin::{Gc, Heap, Mutator, Pinner};
use parking_lot::Mutex;

use crate::cleanups::Cleanups;
use crate::model::{Id, Model, Pin};
use crate::objects::{Any, AnyRoot, AnyWeak, AnyWeakRoot, Keepers, Node, Worth};
use crate::program::{Handle, NAMES, Pick};
use crate::token::Ledger;

/// A pinner and what it has pinned.
#[derive(Default)]
pub(crate) struct NamedPinner {
    pub(crate) pinner: Pinner,
    pub(crate) pins: Vec<Pin>,
}

pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) ledger: Ledger,
    pub(crate) cleanups: Cleanups,
    pub(crate) roots: [Option<(AnyRoot, Id)>; NAMES],
    pub(crate) weak_roots: [Option<(AnyWeakRoot, Id)>; NAMES],
    pub(crate) pinners: [NamedPinner; NAMES],
    /// What vaults own, to clear up those that keep themselves.
    pub(crate) vaults: Vec<Weak<Mutex<Keepers>>>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            model: Model::default(),
            ledger: Ledger::new(),
            cleanups: Cleanups::default(),
            roots: Default::default(),
            weak_roots: Default::default(),
            pinners: Default::default(),
            vaults: Vec::new(),
        }
    }

    /// One of the names that stand for a root.
    pub(crate) fn pick_root(&self, pick: Pick) -> Option<usize> {
        pick_used(&self.roots, pick)
    }

    /// One of the names that stand for a weak root.
    pub(crate) fn pick_weak_root(&self, pick: Pick) -> Option<usize> {
        pick_used(&self.weak_roots, pick)
    }

    pub(crate) fn handle(&mut self, handle: &Handle) {
        match *handle {
            Handle::CloneRoot { from, to } => {
                if let Some(from) = self.pick_root(from) {
                    let copy = self.roots[from].clone();
                    self.roots[usize::from(to) % NAMES] = copy;
                }
            }
            Handle::DropRoot(name) => {
                if let Some(name) = self.pick_root(name) {
                    self.roots[name] = None;
                }
            }
            Handle::CloneWeakRoot { from, to } => {
                if let Some(from) = self.pick_weak_root(from) {
                    let copy = self.weak_roots[from].clone();
                    self.weak_roots[usize::from(to) % NAMES] = copy;
                }
            }
            Handle::DropWeakRoot(name) => {
                if let Some(name) = self.pick_weak_root(name) {
                    self.weak_roots[name] = None;
                }
            }
            Handle::Unpin(name) => {
                let named = &mut self.pinners[usize::from(name) % NAMES];
                named.pins.clear();
                named.pinner.unpin();
                assert!(named.pinner.is_empty());
            }
            Handle::Cancel(pick) => {
                let live = self.live();
                self.cleanups.cancel(pick, &live);
            }
            Handle::DropPinner(name) => self.pinners[usize::from(name) % NAMES] = NamedPinner::default(),
        }
    }

    fn named(&self) -> impl Iterator<Item = Id> {
        let roots = self.roots.iter().flatten().map(|&(_, id)| id);
        roots.chain(self.pins().filter_map(|pin| pin.id))
    }

    fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.pinners.iter().flat_map(|named| &named.pins)
    }

    /// What must be there.
    pub(crate) fn live(&self) -> Vec<bool> {
        self.model.reach(self.named(), false)
    }

    /// What may be there, because a vault that may not have been swept yet keeps it.
    pub(crate) fn kept(&self) -> Vec<bool> {
        self.model.reach(self.named(), true)
    }

    /// Learns from the ledger which objects are gone, and fails if one is that must not be.
    #[track_caller]
    pub(crate) fn compare_drops(&mut self) {
        self.ledger.assert_sound();
        let live = self.live();
        for id in self.cleanups.compare(&live) {
            self.model.mark_gone(id);
        }
        for (id, &live) in live.iter().enumerate() {
            let thing = &self.model.things[id];
            let dropped = thing.tokens.clone().filter(|&token| self.ledger.drops_of(token) != 0).count();
            if live {
                assert!(dropped == 0 && !thing.gone, "object {id} was dropped, but something leads to it");
                assert!(!thing.dead, "something leads to object {id}, though an upgrade has failed");
            } else if dropped != 0 && dropped == thing.tokens.len() {
                self.model.mark_gone(id);
            }
        }
        for (map, key, entry) in self.model.entries().filter(|&(map, key, _)| live[map] && live[key]) {
            assert_eq!(self.ledger.drops_of(entry.token), 0, "map {map} has lost the value of its living key {key}");
        }
    }

    /// Fails unless all are dropped that `kept` (as of the beginning of a cycle that has ended) does not hold.
    #[track_caller]
    pub(crate) fn compare_freed(&mut self, kept: &[bool]) {
        for (id, kept) in kept.iter().enumerate() {
            if !kept {
                for token in self.model.things[id].tokens.clone() {
                    assert_eq!(self.ledger.drops_of(token), 1, "object {id} is unreachable, but was not dropped");
                }
                self.model.mark_gone(id);
            }
        }
        for (map, key, entry) in self.model.entries().filter(|&(map, key, _)| !kept[map] || !kept[key]) {
            assert_eq!(
                self.ledger.drops_of(entry.token),
                1,
                "map {map} still has the value of key {key}, which is dead"
            );
        }
        self.cleanups.compare_due(kept);
        for thing in &mut self.model.things {
            thing.entries.retain(|&key, _| kept[key]);
        }
        self.compare_drops();
    }

    /// How many pins each object must have, and may have.
    pub(crate) fn pin_counts(&self, live: &[bool]) -> Vec<(u32, u32)> {
        let mut named = vec![0; live.len()];
        for id in self.pins().filter_map(|pin| pin.id) {
            named[id] += 1;
        }
        let certain = self.model.pins_by_vaults(|vault| live[vault.id]);
        let possible = self.model.pins_by_vaults(|vault| !vault.gone);
        (0..live.len()).map(|id| (named[id] + certain[id], named[id] + possible[id])).collect()
    }

    /// Compares pins, outside any mutation, and looks at what is pinned through its address.
    #[track_caller]
    pub(crate) fn compare_pins(&self, heap: Option<&Heap>) {
        for named in &self.pinners {
            assert_eq!(named.pinner.len(), named.pins.len());
            assert_eq!(named.pinner.is_empty(), named.pins.is_empty());
            named.pins.iter().for_each(|pin| pin.look(&self.model.things));
        }
        let Some(heap) = heap else { return };
        let live = self.live();
        for (id, (least, most)) in self.pin_counts(&live).into_iter().enumerate().filter(|&(id, _)| live[id]) {
            let thing = &self.model.things[id];
            let start = without_provenance::<u8>(thing.address);
            let count = heap.pin_count(start);
            assert!((least..=most).contains(&count), "object {id} has {count} pins, not {least} to {most}");
            if least == most {
                assert_eq!(heap.is_pinned(start), count != 0, "object {id}");
                let inside = without_provenance::<u8>(thing.address + thing.bytes.saturating_sub(1));
                assert_eq!(heap.pin_count(inside), count, "object {id}, asked by its last byte");
                assert_eq!(heap.is_pinned(inside), count != 0, "object {id}, asked by its last byte");
            }
            assert!(heap.contains(start));
        }
    }

    /// Walks all that the roots lead to, in a mutation, and compares it with the model.
    #[track_caller]
    pub(crate) fn compare_contents(&self, heap: &Heap) {
        heap.mutate(|mu| {
            let mut seen = vec![false; self.model.things.len()];
            let mut weak: Vec<(AnyWeak<'_>, Id)> =
                self.weak_roots.iter().flatten().map(|(root, id)| (root.get(mu), *id)).collect();
            let mut todo: Vec<(Any<'_>, Id)> =
                self.roots.iter().flatten().map(|(root, id)| (root.get(mu), *id)).collect();
            while let Some((any, id)) = todo.pop() {
                if std::mem::replace(&mut seen[id], true) {
                    continue;
                }
                self.compare(any, id);
                let thing = &self.model.things[id];
                if let Any::Registry(registry) = any {
                    todo.extend(self.compare_entries(id, registry.map.entries(mu)).0);
                }
                for index in 0..thing.pointers() {
                    match (any.follow(mu, index), thing.pointer(index)) {
                        (Some(next), Some(id)) => todo.push((next, id)),
                        (found, expected) => assert!(
                            found.is_none() && expected.is_none(),
                            "pointer {index} of object {id} is not the one that was stored"
                        ),
                    }
                }
                for index in 0..thing.weak.len() {
                    match (any.weak(mu, index), thing.weak[index]) {
                        (Some(found), Some(id)) => weak.push((found, id)),
                        (found, expected) => assert!(
                            found.is_none() && expected.is_none(),
                            "weak pointer {index} of object {id} is not the one that was stored"
                        ),
                    }
                }
            }
            self.compare_weak(mu, &weak);
        });
        self.compare_extents();
    }

    /// Compares all weak pointers with one another and with the model.
    #[track_caller]
    fn compare_weak<'gc>(&self, mu: &Mutator<'gc>, found: &[(AnyWeak<'gc>, Id)]) {
        let live = self.live();
        let (mut ids, mut weak_pointers) = (HashMap::new(), HashMap::new());
        for &(weak, id) in found {
            assert_eq!(*ids.entry(weak).or_insert(id), id, "weak pointers to two objects are equal");
            assert_eq!(*weak_pointers.entry(id).or_insert(weak), weak, "two weak pointers to object {id} differ");
            let thing = &self.model.things[id];
            match weak.upgrade(mu) {
                Some(any) => {
                    assert!(!thing.gone && !thing.dead, "object {id} is dead, but could be upgraded");
                    self.compare(any, id);
                }
                None => assert!(!live[id], "object {id} could not be upgraded, but something leads to it"),
            }
        }
    }

    /// Compares what a map gives with the model. Gives the keys and values, which must be taken in hand then, and those keys
    /// that have gone.
    #[track_caller]
    pub(crate) fn compare_entries<'gc>(
        &self,
        map: Id,
        found: Vec<(Gc<'gc, Node<'gc>>, Worth<'gc>)>,
    ) -> (Vec<(Any<'gc>, Id)>, Vec<Id>) {
        let mut entries = self.model.things[map].entries.clone();
        let mut there = Vec::new();
        for (key, worth) in found {
            let Some((&id, &entry)) = entries.iter().find(|(_, entry)| entry.token == worth.token.entry()) else {
                panic!("map {map} has an entry that it must not have");
            };
            entries.remove(&id);
            worth.token.assert_live();
            for (any, id) in [(Any::Node(key), id), (worth.any, entry.value)] {
                let thing = &self.model.things[id];
                assert!(!thing.gone && !thing.dead, "object {id} is dead, but map {map} gave it");
                self.compare(any, id);
                there.push((any, id));
            }
        }
        let live = self.live();
        for &key in entries.keys() {
            assert!(!live[key], "map {map} did not give key {key}, but something leads to it");
        }
        (there, entries.into_keys().collect())
    }

    /// Takes note of an upgrade, which gave `found`, of a weak pointer to `id`. What it gave must be taken in hand then.
    #[track_caller]
    pub(crate) fn compare_upgrade(&mut self, found: Option<Any<'_>>, id: Id) {
        let live = self.live()[id];
        let thing = &mut self.model.things[id];
        match found {
            // That nothing it leads to is dead is seen when it is in hand.
            Some(_) => assert!(!thing.gone && !thing.dead, "object {id} is dead, but could be upgraded"),
            None => {
                assert!(!live, "object {id} could not be upgraded, but something leads to it");
                thing.dead = true;
            }
        }
    }

    /// Objects to which something that is there has a weak pointer; each of them has one handle.
    pub(crate) fn weakly_held(&self, live: &[bool]) -> usize {
        let roots = self.weak_roots.iter().flatten().map(|&(_, id)| id);
        let things = self.model.things.iter().filter(|thing| live[thing.id]);
        let held: HashSet<Id> = roots.chain(things.flat_map(|thing| thing.weak.iter().flatten().copied())).collect();
        held.len()
    }

    /// Fails unless `any` is the object `id`.
    #[track_caller]
    pub(crate) fn compare(&self, any: Any<'_>, id: Id) {
        let thing = &self.model.things[id];
        assert_eq!(any.address(), thing.address, "a pointer does not lead to object {id}");
        any.check(thing);
    }

    /// No two objects overlap.
    #[track_caller]
    fn compare_extents(&self) {
        let live = self.live();
        let things = self.model.things.iter().filter(|thing| live[thing.id]);
        // What has no size may still be told from its neighbours.
        let mut extents: Vec<(usize, usize)> =
            things.filter(|thing| thing.bytes != 0).map(|thing| (thing.address, thing.bytes)).collect();
        extents.sort_unstable();
        for pair in extents.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "two objects overlap");
        }
    }
}

/// One of the names in use.
fn pick_used<T>(named: &[Option<T>; NAMES], pick: Pick) -> Option<usize> {
    let used: Vec<usize> = (0..NAMES).filter(|&name| named[name].is_some()).collect();
    (!used.is_empty()).then(|| used[usize::from(pick) % used.len()])
}
