//! A graph in the heap and what it should look like, kept in ordinary Rust data.
//!
//! Nodes are named by ids that never come twice. The mirror says which id each pointer field leads
//! to and what else the node holds; walking both at once finds any object that was lost, freed too
//! early, duplicated or overwritten.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use linchpin::{Gc, Heap, Mutator, Root};

use super::cleanups::OfNode;
use super::maps::{Labelled, NodeMap};
use super::numbers::Pattern;
use super::objects::{KIDS, Maker, Node};
use super::weak::{WeakNode, check_found, upgrade};
use super::words::{self, ShadowWord};

/// What one node should hold.
#[derive(Default)]
pub(crate) struct Shadow {
    pub(crate) kids: [Option<u64>; KIDS],
    pub(crate) fan: Option<Vec<Option<u64>>>,
    pub(crate) bytes: Option<Pattern>,
    pub(crate) tracked: Option<u64>,
    pub(crate) group: Option<Vec<u64>>,
    pub(crate) heavy: Option<u64>,
    pub(crate) empty: bool,
    pub(crate) ghost: bool,
    pub(crate) back: Option<u64>,
    /// An upgrade of what is in `back` has failed.
    pub(crate) back_dead: bool,
    pub(crate) word: ShadowWord,
    /// Its value in the map of the graph.
    pub(crate) labelled: Option<Labelled>,
    pub(crate) cleanup: Option<OfNode>,
}

impl Shadow {
    /// A node with kids and nothing else.
    pub(crate) fn with_kids(kids: [Option<u64>; KIDS]) -> Self {
        Self { kids, ..Self::default() }
    }

    /// How many pointer fields the node has.
    pub(crate) fn slots(&self) -> usize {
        KIDS + self.fan.as_ref().map_or(0, Vec::len)
    }

    /// Where pointer field `slot` should lead.
    pub(crate) fn slot(&mut self, slot: usize) -> &mut Option<u64> {
        if slot < KIDS {
            return &mut self.kids[slot];
        }
        &mut self.fan.as_mut().expect("slots beyond the kids are of a fan")[slot - KIDS]
    }

    fn target(&self, slot: usize) -> Option<u64> {
        match slot.checked_sub(KIDS) {
            None => self.kids[slot],
            Some(slot) => self.fan.as_ref().and_then(|fan| fan.get(slot).copied().flatten()),
        }
    }
}

/// A node in hand, with its id.
pub(crate) type Known<'gc> = (Gc<'gc, Node<'gc>>, u64);

/// The id of the node that a weak pointer was made for, and what its upgrade gave.
pub(crate) type Upgraded<'gc> = (u64, Option<Gc<'gc, Node<'gc>>>);

/// A graph, its roots and its mirror. Owned by one worker at a time.
#[derive(Default)]
pub(crate) struct Graph {
    /// Roots and the ids of the nodes they hold; several may hold one node.
    pub(crate) roots: Vec<(Root<Node<'static>>, u64)>,
    /// Weak roots and the ids of the nodes they were made for.
    pub(crate) weak: Vec<WeakNode>,
    /// Values of nodes, if any has one.
    pub(crate) map: Option<Root<NodeMap<'static>>>,
    /// All nodes that a root leads to, and some that none leads to any more.
    pub(crate) shadows: HashMap<u64, Shadow>,
}

impl Graph {
    /// The node that root number `index` holds, compared.
    pub(crate) fn root<'gc>(&self, mu: &Mutator<'gc>, index: usize) -> Result<Known<'gc>, String> {
        let (root, id) = &self.roots[index];
        let node = root.get(mu);
        node.is_node(*id).map_err(|problem| format!("behind a root: {problem}"))?;
        Ok((node, *id))
    }

    /// Some node that a root leads to, found by a walk on which every step is compared.
    pub(crate) fn walk<'gc>(&self, mu: &Mutator<'gc>, maker: &mut Maker) -> Result<Option<Known<'gc>>, String> {
        if self.roots.is_empty() {
            return Ok(None);
        }
        let mut known = self.root(mu, maker.numbers.below(self.roots.len()))?;
        for _ in 0..maker.numbers.below(12) {
            let slot = maker.numbers.below(self.shadow(known.1)?.slots());
            match self.follow(known, slot)? {
                Some(next) => known = next,
                None => break,
            }
        }
        Ok(Some(known))
    }

    /// What the mirror holds of a node.
    pub(crate) fn shadow(&self, id: u64) -> Result<&Shadow, String> {
        self.shadows.get(&id).ok_or_else(|| format!("node {id:#x} is not in the mirror"))
    }

    fn follow<'gc>(&self, from: Known<'gc>, slot: usize) -> Result<Option<Known<'gc>>, String> {
        let (node, id) = from;
        let shadow = self.shadow(id)?;
        let target = shadow.target(slot);
        let found = node.slot(slot).and_then(|cell| cell.load());
        same_target(found, target)
            .map_err(|problem| format!("field {slot} of node {id:#x} at {:p}: {problem}", Gc::as_ptr(node)))
    }

    /// Walks everything that the roots lead to, compares it with the mirror, and forgets what they
    /// no longer lead to. Returns how many nodes there are.
    pub(crate) fn verify(&mut self, heap: &Heap) -> Result<usize, String> {
        // Objects never move, so an address says in every mutation which node it is: one id at two
        // addresses is a node that became two.
        let mut seen: HashMap<u64, usize> = HashMap::with_capacity(self.shadows.len());
        // What weak pointers led to, by id; compared when all that is reachable has been seen.
        let mut backs: Vec<(u64, Option<usize>)> = Vec::new();
        for index in 0..self.roots.len() {
            // A mutation each, so that cycles pass between them.
            heap.mutate(|mu| {
                let mut found = vec![self.root(mu, index)?];
                while let Some(known) = found.pop() {
                    let address = Gc::as_ptr(known.0) as usize;
                    match seen.entry(known.1) {
                        Entry::Occupied(at) if *at.get() == address => continue,
                        Entry::Occupied(at) => {
                            let first = *at.get();
                            return Err(format!("node {:#x} is at {first:#x} and at {address:#x}", known.1));
                        }
                        Entry::Vacant(at) => at.insert(address),
                    };
                    self.check_contents(known)?;
                    backs.extend(self.check_back(mu, known)?);
                    found.extend(self.follow_label(mu, known)?);
                    found.extend(words::compare(known.0.word.load(), self.shadow(known.1)?.word)?);
                    for slot in 0..self.shadow(known.1)?.slots() {
                        found.extend(self.follow(known, slot)?);
                    }
                }
                Ok(())
            })?;
        }
        for weak in &mut self.weak {
            heap.mutate(|mu| {
                let found = weak.upgrade(mu)?;
                backs.push((weak.id, found.map(|node| Gc::as_ptr(node) as usize)));
                Ok::<(), String>(())
            })?;
        }
        heap.mutate(|mu| self.check_labels(mu))?;
        for (id, at) in backs {
            if let Some(&address) = seen.get(&id)
                && at != Some(address)
            {
                return Err(format!("node {id:#x} is at {address:#x}, and a weak pointer to it led to {at:#x?}"));
            }
        }
        self.shadows.retain(|id, _| seen.contains_key(id));
        Ok(seen.len())
    }

    /// Upgrades the weak pointer of a node, if it has one: the id it should lead to, and where that is.
    fn check_back<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        known: Known<'gc>,
    ) -> Result<Option<(u64, Option<usize>)>, String> {
        Ok(self.back(mu, known)?.map(|(id, found)| (id, found.map(|node| Gc::as_ptr(node) as usize))))
    }

    /// What the weak pointer of a node was made for, if it has one, and the upgrade of that.
    pub(crate) fn back<'gc>(&mut self, mu: &Mutator<'gc>, known: Known<'gc>) -> Result<Option<Upgraded<'gc>>, String> {
        let (node, id) = known;
        let shadow = self.shadows.get_mut(&id).ok_or("a node in hand is not in the mirror")?;
        let Some((weak, target)) = present(node.back.load(), shadow.back, "back")? else { return Ok(None) };
        let found = check_found(upgrade(mu, weak)?, target, &mut shadow.back_dead)?;
        Ok(Some((target, found)))
    }

    /// Compares everything a node holds but its pointers to nodes.
    fn check_contents(&self, known: Known<'_>) -> Result<(), String> {
        let (node, id) = known;
        let shadow = self.shadow(id)?;
        let check = || {
            node.is_node(id)?;
            shadow.cleanup.as_ref().map_or(Ok(()), OfNode::check)?;
            let fan = present(node.fan.load(), shadow.fan.as_ref(), "fan")?;
            if let Some((found, expected)) = fan
                && found.len() != expected.len()
            {
                return Err(format!("a fan of {} is {} wide", expected.len(), found.len()));
            }
            if let Some((found, expected)) = present(node.bytes.load(), shadow.bytes, "bytes")? {
                expected.check(&found)?;
            }
            if let Some((found, expected)) = present(node.tracked.load(), shadow.tracked, "tracked")? {
                found.check(expected)?;
            }
            if let Some((found, expected)) = present(node.heavy.load(), shadow.heavy, "heavy")? {
                found.check(expected)?;
            }
            let group = present(node.group.load(), shadow.group.as_ref(), "group")?;
            if let Some((found, expected)) = group {
                if 1 + found.slice.len() != expected.len() {
                    return Err(format!("a group of {} has {}", expected.len(), 1 + found.slice.len()));
                }
                for (found, expected) in std::iter::once(&found.header).chain(&found.slice).zip(expected) {
                    found.check(*expected)?;
                }
            }
            present(node.empty.load(), shadow.empty.then_some(()), "empty")?;
            present(node.ghost.load(), shadow.ghost.then_some(()), "ghost")?;
            Ok(())
        };
        check().map_err(|problem| format!("node {id:#x} at {:p}: {problem}", Gc::as_ptr(node)))
    }
}

/// Whether a field leads where the mirror says, and if so where that is.
pub(crate) fn same_target<'gc>(
    found: Option<Gc<'gc, Node<'gc>>>,
    target: Option<u64>,
) -> Result<Option<Known<'gc>>, String> {
    match present(found, target, "target")? {
        Some((node, id)) => node.is_node(id).map(|()| Some((node, id))),
        None => Ok(None),
    }
}

/// Pairs what was found with what was expected; an error if only one of them is there.
fn present<A, B>(found: Option<A>, expected: Option<B>, what: &str) -> Result<Option<(A, B)>, String> {
    match (found, expected) {
        (Some(found), Some(expected)) => Ok(Some((found, expected))),
        (None, None) => Ok(None),
        (found, _) => {
            let (is, should_be) = if found.is_some() { ("present", "null") } else { ("null", "present") };
            Err(format!("{what} is {is} and should be {should_be}"))
        }
    }
}
