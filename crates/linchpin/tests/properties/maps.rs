//! What a mutation does with weak maps.
//!
//! The model has a map's entries as sets of edges that count only while their key is there: what is reachable is the least set in
//! which the value of a key that is reachable is reachable, if the map is, too. So of a key in hand it is certain what is found.
//! The entries of a key that nothing leads to are given as long as the collector has not decided about it; one that is not
//! given any more says that its key is dead, as an upgrade that fails does.

use linchpin::{Gc, Mutator};
use proptest::prelude::*;

use crate::model::{Entry, Id};
use crate::mutation::{Actor, Item, Locals};
use crate::objects::{Any, AnyRoot, Node, Registry, Worth};
use crate::program::{Kind, NAMES, Pick, Step, WeakStep};

/// What is done with weak maps: a map, a key, a value.
#[derive(Debug, Clone)]
pub(crate) enum MapStep {
    Insert {
        map: Pick,
        key: Pick,
        value: Pick,
    },
    GetOrInsert {
        map: Pick,
        key: Pick,
        value: Pick,
    },
    Get {
        map: Pick,
        key: Pick,
    },
    Remove {
        map: Pick,
        key: Pick,
    },
    Entries(Pick),
    Clear(Pick),
    /// A new node as the value of a new node, and so on; the first key, if anything, has a root, or a weak one.
    Chain {
        map: Pick,
        links: u8,
        name: Pick,
        weak: bool,
    },
}

pub(crate) fn map_step() -> impl Strategy<Value = MapStep> {
    let pick = any::<Pick>;
    prop_oneof![
        6 => (pick(), pick(), pick()).prop_map(|(map, key, value)| MapStep::Insert { map, key, value }),
        2 => (pick(), pick(), pick()).prop_map(|(map, key, value)| MapStep::GetOrInsert { map, key, value }),
        4 => (pick(), pick()).prop_map(|(map, key)| MapStep::Get { map, key }),
        3 => (pick(), pick()).prop_map(|(map, key)| MapStep::Remove { map, key }),
        3 => pick().prop_map(MapStep::Entries),
        1 => pick().prop_map(MapStep::Clear),
        3 => (pick(), 1..5_u8, pick(), any::<bool>())
            .prop_map(|(map, links, name, weak)| MapStep::Chain { map, links, name, weak }),
    ]
}

impl Actor<'_> {
    pub(crate) fn map_step<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, step: &MapStep) {
        match *step {
            MapStep::Insert { map, key, value } => {
                let (map, key) = (self.some_map(mu, locals, map), self.some_node(mu, locals, key));
                if let Some(value) = locals.pick(value) {
                    self.insert(mu, locals, map, key, value);
                }
            }
            MapStep::GetOrInsert { map, key, value } => {
                let ((map, map_id), (key, key_id)) = (self.some_map(mu, locals, map), self.some_node(mu, locals, key));
                let Some((value, value_id)) = locals.pick(value) else { return };
                let (mut made, known) = (None, self.entry(map_id, key_id));
                let found = map.map.get_or_insert_with(mu, key, || {
                    let worth = self.worth(value);
                    made = Some(worth.token.entry());
                    worth
                });
                assert_eq!(made.is_none(), known.is_some(), "a value was made though there was one, or was not");
                let entry = known.or(made.map(|token| Entry { value: value_id, token }));
                self.state.lock().model.things[map_id].entries.extend(entry.map(|entry| (key_id, entry)));
                self.take_worth(mu, locals, Some(found), entry);
            }
            MapStep::Get { map, key } => {
                let ((map, map_id), (key, key_id)) = (self.some_map(mu, locals, map), self.some_node(mu, locals, key));
                let entry = self.entry(map_id, key_id);
                assert_eq!(
                    map.map.contains_key(key),
                    entry.is_some(),
                    "a map knows keys that it does not have, or not"
                );
                self.take_worth(mu, locals, map.map.get(mu, key), entry);
            }
            MapStep::Remove { map, key } => {
                let ((map, map_id), (key, key_id)) = (self.some_map(mu, locals, map), self.some_node(mu, locals, key));
                let found = map.map.remove(mu, key);
                let entry = self.state.lock().model.things[map_id].entries.remove(&key_id);
                self.take_worth(mu, locals, found, entry);
            }
            MapStep::Entries(pick) => {
                let (map, map_id) = self.some_map(mu, locals, pick);
                let entries = map.map.entries(mu);
                let (mut there, dead) = self.state.lock().compare_entries(map_id, entries);
                // What is newest in hand, and so likely to get a root, is a key or a value.
                if pick % 2 == 0 {
                    there.reverse();
                }
                there.into_iter().for_each(|(any, id)| any.take(self, mu, locals, id));
                for key in dead {
                    let things = &mut self.state.lock().model.things;
                    things[map_id].entries.remove(&key);
                    things[key].dead = true;
                }
            }
            MapStep::Clear(map) => {
                let (map, map_id) = self.some_map(mu, locals, map);
                map.map.clear(mu);
                assert!(map.map.is_empty());
                self.state.lock().model.things[map_id].entries.clear();
            }
            MapStep::Chain { map, links, name, weak } => {
                let map = self.some_map(mu, locals, map);
                let mut value = self.new_node(mu, locals);
                for _ in 0..links {
                    let key = self.new_node(mu, locals);
                    self.insert(mu, locals, map, key, (Any::Node(value.0), value.1));
                    value = key;
                }
                let local = locals.newest();
                let step =
                    if weak { Step::Weak(WeakStep::RootLocal { local, name }) } else { Step::Root { local, name } };
                self.step(mu, locals, &step);
            }
        }
    }

    fn insert<'gc>(
        &self,
        mu: &Mutator<'gc>,
        locals: &mut Locals<'gc>,
        (map, map_id): (Gc<'gc, Registry<'gc>>, Id),
        (key, key_id): (Gc<'gc, Node<'gc>>, Id),
        (value, value_id): (Any<'gc>, Id),
    ) {
        let worth = self.worth(value);
        let new = Entry { value: value_id, token: worth.token.entry() };
        let found = map.map.insert(mu, key, worth);
        let old = self.state.lock().model.things[map_id].entries.insert(key_id, new);
        self.take_worth(mu, locals, found, old);
        // It is newest in hand.
        Any::Node(key).take(self, mu, locals, key_id);
    }

    fn worth<'gc>(&self, any: Any<'gc>) -> Worth<'gc> {
        Worth { any, token: self.state.lock().ledger.token().into() }
    }

    /// What the model has for a key in hand.
    fn entry(&self, map: Id, key: Id) -> Option<Entry> {
        self.state.lock().model.things[map].entries.get(&key).copied()
    }

    #[track_caller]
    fn take_worth<'gc>(
        &self,
        mu: &Mutator<'gc>,
        locals: &mut Locals<'gc>,
        found: Option<Worth<'gc>>,
        expected: Option<Entry>,
    ) {
        match (found, expected) {
            (Some(worth), Some(entry)) => {
                worth.check(entry);
                worth.any.take(self, mu, locals, entry.value);
            }
            (found, expected) => assert!(
                found.is_none() && expected.is_none(),
                "of a key in hand, a map gave {} value, not {expected:?}",
                if found.is_some() { "a" } else { "no" }
            ),
        }
    }

    /// A map that has a name, or else a root; without any, a new one, which gets a root.
    fn some_map<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, pick: Pick) -> (Gc<'gc, Registry<'gc>>, Id) {
        let registry = |any| if let Any::Registry(gc) = any { Some(gc) } else { None };
        if locals.pick_of(Some(pick), registry).is_none()
            && !self.take_root(mu, locals, pick, |root| matches!(root, AnyRoot::Registry(_)))
        {
            self.alloc(mu, locals, &Kind::Registry);
            let local = locals.newest();
            self.step(mu, locals, &Step::Root { local, name: pick });
        }
        locals.pick_of(Some(pick), registry).expect("one is in hand by now")
    }

    /// A node that has a name, or else a root; without any, a new one.
    fn some_node<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, pick: Pick) -> (Gc<'gc, Node<'gc>>, Id) {
        if locals.pick_of(Some(pick), Any::node).is_none()
            && !self.take_root(mu, locals, pick, |root| matches!(root, AnyRoot::Node(_)))
        {
            return self.new_node(mu, locals);
        }
        locals.pick_of(Some(pick), Any::node).expect("one is in hand by now")
    }

    fn new_node<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>) -> (Gc<'gc, Node<'gc>>, Id) {
        self.alloc(mu, locals, &Kind::Node { link: None, load: None, weak: None });
        let newest = locals.pick(locals.newest()).expect("it is in hand");
        (newest.0.node().expect("it is a node"), newest.1)
    }

    /// Takes what a root that `fits` leads to in hand, if there is one.
    fn take_root<'gc>(
        &self,
        mu: &Mutator<'gc>,
        locals: &mut Locals<'gc>,
        pick: Pick,
        fits: impl Fn(&AnyRoot) -> bool,
    ) -> bool {
        let state = self.state.lock();
        let fitting: Vec<&(AnyRoot, Id)> = state.roots.iter().flatten().filter(|(root, _)| fits(root)).collect();
        let Some((root, id)) = fitting.get(usize::from(pick) % NAMES % fitting.len().max(1)) else { return false };
        let (any, id) = (root.get(mu), *id);
        drop(state);
        any.take(self, mu, locals, id);
        true
    }
}

impl Worth<'_> {
    /// Fails unless it is that of the entry; what it leads to is not looked at.
    #[track_caller]
    pub(crate) fn check(&self, entry: Entry) {
        self.token.assert_live();
        assert_eq!(self.token.entry(), entry.token, "a map gave another value than the last that was put in");
    }
}
