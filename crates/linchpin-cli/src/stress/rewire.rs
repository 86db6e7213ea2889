//! Random changes to a graph, made in the heap and in the mirror alike.

use linchpin::{Gc, GcCell, Mutator};

use super::cleanups;
use super::ledger::Ghost;
use super::mirror::{Graph, Known, same_target};
use super::objects::{Empty, Group, KIDS, Maker, Node};
use super::weak::{WeakNode, downgrade};

/// Nodes that a mutation keeps in hand. They may lose their last path from a root while in hand
/// and be linked again later: what the barriers must cope with.
pub(crate) type Hand<'gc> = Vec<Known<'gc>>;

/// More are not kept in hand.
const HAND: usize = 8;

/// More roots than these are not made.
const ROOTS: usize = 48;

/// More weak roots than these are not kept.
const WEAK_ROOTS: usize = 64;

impl Graph {
    /// Makes one random change.
    pub(crate) fn change<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
    ) -> Result<(), String> {
        let Some(known) = self.pick(mu, maker, hand)? else {
            return self.add_root(mu, maker, hand);
        };
        match maker.numbers.below(30) {
            0..6 => self.link_new(mu, maker, hand, known),
            6..11 => self.link_known(mu, maker, hand, known),
            11..13 => self.cut(mu, maker, hand, known),
            13 => self.replace_fan(mu, maker, hand, known),
            14..18 => self.replace_contents(mu, maker, known),
            18 => self.add_root(mu, maker, hand),
            19..21 => self.add_weak_root(mu, maker, known),
            21..23 => self.replace_back(mu, maker, hand, known),
            23..26 => self.relabel(mu, maker, hand, known),
            26..28 => self.replace_word(mu, maker, hand, known),
            28 => self.clean_up(mu, maker, known),
            _ => self.change_root(mu, maker, known),
        }
    }

    /// A node from the hand or from a walk.
    pub(crate) fn pick<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
    ) -> Result<Option<Known<'gc>>, String> {
        if !hand.is_empty() && maker.numbers.once_in(3) {
            let known = hand[maker.numbers.below(hand.len())];
            known.0.is_node(known.1).map_err(|problem| format!("in hand: {problem}"))?;
            return Ok(Some(known));
        }
        if maker.numbers.once_in(8)
            && let Some(known) = self.revive(mu, maker)?
        {
            keep(hand, maker, known);
            return Ok(Some(known));
        }
        let known = self.walk(mu, maker)?;
        if let Some(known) = known
            && maker.numbers.once_in(4)
        {
            keep(hand, maker, known);
        }
        Ok(known)
    }

    /// A node by a weak pointer, if it is still there and the mirror still knows it. No root may lead to it any more: then
    /// it, and all it leads to, lives on by what is done with it.
    fn revive<'gc>(&mut self, mu: &Mutator<'gc>, maker: &mut Maker) -> Result<Option<Known<'gc>>, String> {
        let known = if maker.numbers.once_in(2) {
            let Some(from) = self.walk(mu, maker)? else { return Ok(None) };
            self.back(mu, from)?.and_then(|(id, found)| Some((found?, id)))
        } else {
            let Some(limit) = std::num::NonZeroUsize::new(self.weak.len()) else { return Ok(None) };
            let weak = &mut self.weak[maker.numbers.below(limit.get())];
            weak.upgrade(mu)?.map(|node| (node, weak.id))
        };
        Ok(known.filter(|(_, id)| self.shadows.contains_key(id)))
    }

    /// Makes a weak root, or clones one, in place of another if there are enough.
    fn add_weak_root<'gc>(&mut self, mu: &Mutator<'gc>, maker: &mut Maker, known: Known<'gc>) -> Result<(), String> {
        let root = downgrade(mu, known.0)?.root(mu);
        let mut weak = WeakNode { root, id: known.1, dead: false };
        if self.weak.len() < WEAK_ROOTS {
            self.weak.push(weak);
            return Ok(());
        }
        let [to, from] = [(); 2].map(|()| maker.numbers.below(WEAK_ROOTS));
        if maker.numbers.once_in(3) {
            let other = &self.weak[from];
            weak = WeakNode { root: other.root.clone(), ..*other };
        } else if maker.numbers.once_in(2) {
            let root = &self.weak[to].root;
            root.set(mu, weak.root.get(mu));
            weak.root = root.clone();
        }
        self.weak[to] = weak;
        Ok(())
    }

    /// Gives a node a weak pointer to another one, perhaps to one that nothing leads to, or takes it away.
    fn replace_back<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        of: Known<'gc>,
    ) -> Result<(), String> {
        let target = match maker.numbers.below(4) {
            0 => None,
            1 => Some(self.node(mu, maker, [None; KIDS])),
            _ => self.pick(mu, maker, hand)?,
        };
        let weak = target.map(|(node, _)| downgrade(mu, node)).transpose()?;
        self.back(mu, of)?;
        of.0.back.store(mu, weak);
        let shadow = self.shadows.get_mut(&of.1).ok_or("a node in hand is not in the mirror")?;
        (shadow.back, shadow.back_dead) = (target.map(|(_, id)| id), false);
        Ok(())
    }

    fn link_new<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        from: Known<'gc>,
    ) -> Result<(), String> {
        // Some kids are there from birth, stored without a barrier.
        let mut kids = [None; KIDS];
        for kid in &mut kids {
            if maker.numbers.once_in(3) {
                *kid = self.pick(mu, maker, hand)?;
            }
        }
        let new = self.node(mu, maker, kids);
        self.link(mu, maker, hand, from, Some(new))
    }

    fn link_known<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        from: Known<'gc>,
    ) -> Result<(), String> {
        let target = self.pick(mu, maker, hand)?;
        self.link(mu, maker, hand, from, target)
    }

    fn cut<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        from: Known<'gc>,
    ) -> Result<(), String> {
        self.link(mu, maker, hand, from, None)
    }

    /// Changes one pointer field by one of the ways there are, comparing what it held.
    fn link<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        from: Known<'gc>,
        to: Option<Known<'gc>>,
    ) -> Result<(), String> {
        let (node, id) = from;
        let shadow = self.shadows.get_mut(&id).ok_or("a node in hand is not in the mirror")?;
        let slot = maker.numbers.below(shadow.slots());
        let target = std::mem::replace(shadow.slot(slot), to.map(|(_, id)| id));
        let cell = node.slot(slot).ok_or_else(|| format!("node {id:#x} has no field {slot}"))?;
        let to = to.map(|(node, _)| node);
        let old = match maker.numbers.below(3) {
            0 => {
                let old = cell.load();
                cell.store(mu, to);
                old
            }
            1 => cell.swap(mu, to),
            _ => exchange(mu, cell, to, node)?,
        };
        let old = same_target(old, target).map_err(|problem| format!("field {slot} of node {id:#x}: {problem}"))?;
        // What was just unlinked is the best thing to have in hand.
        if let Some(old) = old
            && maker.numbers.once_in(2)
        {
            keep(hand, maker, old);
        }
        Ok(())
    }

    /// Gives a node a new slice of pointer fields, filled while it is made.
    fn replace_fan<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        of: Known<'gc>,
    ) -> Result<(), String> {
        let length = if maker.numbers.once_in(150) { 5000 } else { maker.numbers.below(12) };
        let mut known = [None; 4];
        for known in &mut known {
            *known = self.pick(mu, maker, hand)?;
        }
        let mut ids = Vec::with_capacity(length);
        let fan = mu.alloc_slice_with(length, |index| {
            // Allocating in the middle of an allocation must be no trouble.
            let kid = match index % 64 {
                0 => Some(self.node(mu, maker, [None; KIDS])),
                1..5 => known[index % 4],
                _ => None,
            };
            ids.push(kid.map(|(_, id)| id));
            kid.map_or_else(GcCell::null, |(node, _)| GcCell::new(Some(node)))
        });
        maker.bytes_since_cycle += length * size_of::<usize>();
        of.0.fan.store(mu, fan);
        self.shadows.get_mut(&of.1).ok_or("a node in hand is not in the mirror")?.fan = Some(ids);
        Ok(())
    }

    /// Replaces something a node holds, or takes it away.
    fn replace_contents<'gc>(&mut self, mu: &Mutator<'gc>, maker: &mut Maker, of: Known<'gc>) -> Result<(), String> {
        let node = of.0;
        let shadow = self.shadows.get_mut(&of.1).ok_or("a node in hand is not in the mirror")?;
        match maker.numbers.below(24) {
            0..9 => {
                let (bytes, pattern) = maker.bytes(mu);
                node.bytes.store(mu, bytes);
                shadow.bytes = Some(pattern);
            }
            9..14 => {
                let tracked = maker.tracked();
                shadow.tracked = Some(tracked.serial());
                let tracked = mu.alloc(tracked);
                if maker.numbers.once_in(4) {
                    cleanups::of_tracked(mu, maker, tracked);
                }
                node.tracked.store(mu, tracked);
            }
            14..17 => {
                let (group, serials) = maker.group(mu);
                node.group.store(mu, group);
                shadow.group = Some(serials);
            }
            17 => {
                let (heavy, serial) = maker.heavy(mu);
                node.heavy.store(mu, heavy);
                shadow.heavy = Some(serial);
            }
            18 => {
                node.empty.store(mu, mu.alloc(Empty));
                shadow.empty = true;
            }
            19 => {
                node.ghost.store(mu, mu.alloc(Ghost::new()));
                shadow.ghost = true;
            }
            20 => {
                node.bytes.store(mu, None::<Gc<'_, [u8]>>);
                shadow.bytes = None;
            }
            21 => {
                node.tracked.store(mu, None::<Gc<'_, _>>);
                node.group.store(mu, None::<Gc<'_, Group>>);
                (shadow.tracked, shadow.group) = (None, None);
            }
            22 => {
                node.heavy.store(mu, None::<Gc<'_, _>>);
                shadow.heavy = None;
            }
            _ => {
                node.empty.store(mu, None::<Gc<'_, _>>);
                node.ghost.store(mu, None::<Gc<'_, _>>);
                (shadow.empty, shadow.ghost) = (false, false);
            }
        }
        Ok(())
    }

    fn add_root<'gc>(&mut self, mu: &Mutator<'gc>, maker: &mut Maker, hand: &mut Hand<'gc>) -> Result<(), String> {
        if self.roots.len() >= ROOTS {
            return Ok(());
        }
        let known = match hand.last() {
            Some(known) if maker.numbers.once_in(2) => *known,
            _ => self.node(mu, maker, [None; KIDS]),
        };
        self.roots.push((mu.root(known.0), known.1));
        Ok(())
    }

    /// Clones, drops or redirects a root inside the mutation.
    fn change_root<'gc>(&mut self, mu: &Mutator<'gc>, maker: &mut Maker, known: Known<'gc>) -> Result<(), String> {
        let Some(limit) = std::num::NonZeroUsize::new(self.roots.len()) else { return Ok(()) };
        let index = maker.numbers.below(limit.get());
        match maker.numbers.below(3) {
            0 => {
                let (root, id) = &self.roots[index];
                self.roots.push((root.clone(), *id));
            }
            1 => drop(self.roots.swap_remove(index)),
            _ => {
                let (root, id) = &mut self.roots[index];
                root.set(mu, known.0);
                *id = known.1;
            }
        }
        Ok(())
    }

    /// A new node, in the mirror too.
    pub(crate) fn node<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        kids: [Option<Known<'gc>>; KIDS],
    ) -> Known<'gc> {
        let (node, id, shadow) = maker.node(mu, kids);
        self.shadows.insert(id, shadow);
        (node, id)
    }
}

/// Keeps a node in hand, perhaps in place of another.
pub(crate) fn keep<'gc>(hand: &mut Hand<'gc>, maker: &mut Maker, known: Known<'gc>) {
    if hand.len() < HAND {
        hand.push(known);
    } else {
        hand[maker.numbers.below(HAND)] = known;
    }
}

/// Replaces by compare-and-exchange, which must fail against the wrong value and succeed against
/// the right one: no other thread changes this graph.
fn exchange<'gc>(
    mu: &Mutator<'gc>,
    cell: &GcCell<'gc, Node<'gc>>,
    to: Option<Gc<'gc, Node<'gc>>>,
    other: Gc<'gc, Node<'gc>>,
) -> Result<Option<Gc<'gc, Node<'gc>>>, String> {
    let held = cell.load();
    if !held.is_some_and(|held| Gc::ptr_eq(held, other)) && cell.compare_exchange(mu, Some(other), to).is_ok() {
        return Err("a field was exchanged against a value it did not hold".to_owned());
    }
    cell.compare_exchange(mu, held, to).map_err(|_| "a field was not exchanged against the value it held".to_owned())
}
