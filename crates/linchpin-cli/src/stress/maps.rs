//! Weak maps: those that threads share, and one of each graph.
//!
//! What a shared map gives must be whole and belong to its key. Of the map of a graph the mirror knows each entry: while a node is
//! in hand, or a root leads to it, its value is there, and what that leads to is there as if a field of the node led to it. At
//! the end every key is dead, and so every map empty.

use std::sync::atomic::{AtomicU64, Ordering};

use linchpin::{Gc, Heap, Mutator, Root, Trace, WeakMap};

use super::ledger::Tracked;
use super::mirror::{Graph, Known};
use super::numbers::mix;
use super::objects::{KIDS, Maker, Node, Shared};
use super::rewire::{Hand, keep};
use super::shared::{SharedHand, retire};

/// Maps that all threads use.
const MAPS: usize = 3;

/// Values that were found; entries that were made, and that were taken out. Relaxed: they are read when all threads have ended.
static FOUND: AtomicU64 = AtomicU64::new(0);
static MADE: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Values found so far; and, when all maps are empty, the entries that went with their keys.
pub(crate) fn found_and_gone() -> (u64, u64) {
    (FOUND.load(Ordering::Relaxed), MADE.load(Ordering::Relaxed) - TAKEN.load(Ordering::Relaxed))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The value of a key with this id.
#[derive(Trace)]
pub(crate) struct Label<'gc, K> {
    of: u64,
    check: u64,
    serial: u64,
    tracked: Tracked,
    to: Option<Gc<'gc, K>>,
}

impl<'gc, K> Label<'gc, K> {
    fn new(maker: &mut Maker, of: u64, to: Option<Gc<'gc, K>>) -> Self {
        let tracked = maker.tracked();
        maker.bytes_since_cycle += size_of::<Self>();
        Self { of, check: mix(of), serial: tracked.serial(), tracked, to }
    }

    fn is_of(&self, id: u64) -> Result<(), String> {
        if self.of != id || self.check != mix(id) {
            return Err(format!("the value of key {id:#x} in a weak map at {self:p} is that of {:#x}", self.of));
        }
        self.tracked.check(self.serial).map_err(|problem| format!("the value of a key in a weak map: {problem}"))
    }
}

/// A map that threads share.
pub(crate) type SharedMap<'gc> = WeakMap<'gc, Shared<'gc>, Gc<'gc, Label<'gc, Shared<'gc>>>>;

/// The map of a graph.
pub(crate) type NodeMap<'gc> = WeakMap<'gc, Node<'gc>, Gc<'gc, Label<'gc, Node<'gc>>>>;

/// Maps that any thread changes at any time.
pub(crate) struct Maps {
    pub(crate) root: Root<[SharedMap<'static>]>,
}

impl Maps {
    /// Empty ones.
    pub(crate) fn new(heap: &Heap) -> Self {
        Self { root: heap.mutate(|mu| mu.root(mu.alloc_slice_with(MAPS, |_| SharedMap::new(mu)))) }
    }

    /// Does something to a map, inside a mutation.
    pub(crate) fn change<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut SharedHand<'gc>,
    ) -> Result<(), String> {
        let map = &self.root.get(mu).as_ref()[maker.numbers.below(MAPS)];
        let key = match hand.last() {
            // Else nothing leads to it but the map, and what is in hand.
            Some(&key) if !maker.numbers.once_in(4) => key,
            _ => maker.shared(mu, [None; 2]),
        };
        // What has a value itself would make chains without end.
        let to = hand.first().copied().filter(|to| !map.contains_key(*to) || Gc::ptr_eq(*to, key));
        let found = match maker.numbers.below(6) {
            0 => {
                let label = mu.alloc(Label::new(maker, key.id, to));
                let old = map.insert(mu, key, label);
                if old.is_none() {
                    count(&MADE);
                }
                old
            }
            1 => {
                let mut made = None;
                let label = map.get_or_insert_with(mu, key, || *made.insert(mu.alloc(Label::new(maker, key.id, to))));
                if made.is_some_and(|made| Gc::ptr_eq(made, label)) {
                    count(&MADE);
                }
                Some(label)
            }
            2 | 3 => map.get(mu, key),
            4 => {
                let old = map.remove(mu, key);
                if old.is_some() {
                    count(&TAKEN);
                }
                old
            }
            _ => return take_all(mu, maker, map, hand),
        };
        found.map_or(Ok(()), |label| take(mu, maker, key.id, label, hand))
    }
}

/// Checks all entries of a map, and takes the last key into hand: perhaps nothing else leads to it.
fn take_all<'gc>(
    mu: &Mutator<'gc>,
    maker: &mut Maker,
    map: &SharedMap<'gc>,
    hand: &mut SharedHand<'gc>,
) -> Result<(), String> {
    let entries = map.entries(mu);
    for (key, label) in &entries {
        key.check().map_err(|problem| format!("a key of a weak map: {problem}"))?;
        label.is_of(key.id)?;
    }
    let Some(&(key, label)) = entries.last() else { return Ok(()) };
    hand.insert(0, key);
    take(mu, maker, key.id, label, hand)
}

/// Checks a value, and takes what it leads to into hand.
fn take<'gc>(
    mu: &Mutator<'gc>,
    maker: &mut Maker,
    id: u64,
    label: Gc<'gc, Label<'gc, Shared<'gc>>>,
    hand: &mut SharedHand<'gc>,
) -> Result<(), String> {
    count(&FOUND);
    label.is_of(id)?;
    if let Some(to) = label.to {
        if maker.numbers.once_in(4) {
            return retire(mu, to);
        }
        to.check().map_err(|problem| format!("behind a value of a weak map: {problem}"))?;
        hand.insert(0, to);
    }
    hand.truncate(6);
    Ok(())
}

/// What the mirror knows of the value of a node: what it owns, and where it leads.
#[derive(Clone, Copy)]
pub(crate) struct Labelled {
    serial: u64,
    to: Option<u64>,
}

impl Graph {
    /// Gives a node another value in the map of its graph, or takes it away, or looks at it.
    pub(crate) fn relabel<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        of: Known<'gc>,
    ) -> Result<(), String> {
        let (node, id) = of;
        let map = self.map.get_or_insert_with(|| mu.root(mu.alloc(NodeMap::new(mu)))).get(mu);
        let known = self.shadow(id)?.labelled;
        let (found, now) = match maker.numbers.below(4) {
            0 => (map.get(mu, node), known),
            1 => {
                let found = map.remove(mu, node);
                TAKEN.fetch_add(u64::from(found.is_some()), Ordering::Relaxed);
                (found, None)
            }
            _ => {
                let to = match maker.numbers.below(4) {
                    0 => None,
                    // Nothing else leads to it.
                    1 => Some(self.node(mu, maker, [None; KIDS])),
                    2 => Some(of),
                    _ => self.pick(mu, maker, hand)?,
                };
                let label = Label::new(maker, id, to.map(|(node, _)| node));
                let now = Labelled { serial: label.serial, to: to.map(|(_, id)| id) };
                let found = map.insert(mu, node, mu.alloc(label));
                MADE.fetch_add(u64::from(found.is_none()), Ordering::Relaxed);
                (found, Some(now))
            }
        };
        self.shadows.get_mut(&id).ok_or("a node in hand is not in the mirror")?.labelled = now;
        if let Some(to) = compare(id, found, known)? {
            keep(hand, maker, to);
        }
        Ok(())
    }

    /// Compares the value of a node; gives the node that it leads to.
    pub(crate) fn follow_label<'gc>(&self, mu: &Mutator<'gc>, from: Known<'gc>) -> Result<Option<Known<'gc>>, String> {
        let found = self.map.as_ref().and_then(|map| map.get(mu).get(mu, from.0));
        compare(from.1, found, self.shadow(from.1)?.labelled)
    }

    /// Looks at every entry. Those of nodes that no root leads to may be there or not.
    pub(crate) fn check_labels(&self, mu: &Mutator<'_>) -> Result<(), String> {
        let Some(map) = &self.map else { return Ok(()) };
        for (node, label) in map.get(mu).entries(mu) {
            node.is_node(node.id).map_err(|problem| format!("a key of a weak map: {problem}"))?;
            label.is_of(node.id)?;
            if let Some(shadow) = self.shadows.get(&node.id) {
                compare(node.id, Some(label), shadow.labelled)?;
            }
        }
        Ok(())
    }
}

fn compare<'gc>(
    id: u64,
    found: Option<Gc<'gc, Label<'gc, Node<'gc>>>>,
    known: Option<Labelled>,
) -> Result<Option<Known<'gc>>, String> {
    let (label, known) = match (found, known) {
        (None, None) => return Ok(None),
        (Some(label), Some(known)) => (label, known),
        (found, _) => {
            let is = if found.is_some() { "a value, and should have none" } else { "no value, and should have one" };
            return Err(format!("node {id:#x} has {is} in the map of its graph"));
        }
    };
    count(&FOUND);
    label.is_of(id)?;
    label.tracked.check(known.serial)?;
    match (label.to, known.to) {
        (None, None) => Ok(None),
        (Some(node), Some(to)) => {
            node.is_node(to).map_err(|problem| format!("behind the value of node {id:#x}: {problem}"))?;
            Ok(Some((node, to)))
        }
        _ => Err(format!("the value of node {id:#x} does not lead where it should")),
    }
}
