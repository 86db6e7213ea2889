//! Words: the field of a node that holds nothing, a number, or a pointer to one thing or another.

use linchpin::{Gc, Mutator, Tagged, Trace};

use super::ledger::Tracked;
use super::mirror::{Graph, Known};
use super::objects::{KIDS, Maker, Node};
use super::rewire::{Hand, keep};

/// What is in the field.
#[derive(Trace, Tagged, Clone, Copy)]
pub(crate) enum Word<'gc> {
    Nothing,
    Number(u32),
    Node(Gc<'gc, Node<'gc>>),
    Tracked(Gc<'gc, Tracked>),
}

/// What should be there: the number itself, the id of the node, or the serial number of the value.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) enum ShadowWord {
    #[default]
    Nothing,
    Number(u32),
    Node(u64),
    Tracked(u64),
}

/// Compares a word; gives the node that it leads to, if it leads to one.
pub(crate) fn compare<'gc>(word: Word<'gc>, shadow: ShadowWord) -> Result<Option<Known<'gc>>, String> {
    let compared = match (word, shadow) {
        (Word::Nothing, ShadowWord::Nothing) => Ok(None),
        (Word::Number(found), ShadowWord::Number(expected)) if found == expected => Ok(None),
        (Word::Node(node), ShadowWord::Node(id)) => node.is_node(id).map(|()| Some((node, id))),
        (Word::Tracked(tracked), ShadowWord::Tracked(serial)) => tracked.check(serial).map(|()| None),
        _ => Err(format!("it should be {shadow:?}")),
    };
    compared.map_err(|problem| format!("a tagged field: {problem}"))
}

impl Graph {
    /// Changes the word of a node by one of the ways there are, comparing what it held.
    pub(crate) fn replace_word<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut Hand<'gc>,
        of: Known<'gc>,
    ) -> Result<(), String> {
        let (new, now) = match maker.numbers.below(8) {
            0 => (Word::Nothing, ShadowWord::Nothing),
            1 => {
                let number = maker.numbers.any() as u32;
                (Word::Number(number), ShadowWord::Number(number))
            }
            2 => {
                let tracked = maker.tracked();
                let serial = tracked.serial();
                (Word::Tracked(mu.alloc(tracked)), ShadowWord::Tracked(serial))
            }
            kind => {
                let known = if kind == 3 { None } else { self.pick(mu, maker, hand)? };
                let (node, id) = known.unwrap_or_else(|| self.node(mu, maker, [None; KIDS]));
                (Word::Node(node), ShadowWord::Node(id))
            }
        };
        let cell = &of.0.word;
        let old = match maker.numbers.below(3) {
            0 => {
                let old = cell.load();
                cell.store(mu, new);
                old
            }
            1 => cell.swap(mu, new),
            _ => {
                let held = cell.load();
                // Nobody else changes it.
                cell.compare_exchange(mu, held, new).map_err(|_| "a tagged field does not hold what it held")?
            }
        };
        let shadow = self.shadows.get_mut(&of.1).ok_or("a node in hand is not in the mirror")?;
        let expected = std::mem::replace(&mut shadow.word, now);
        if let Some(node) = compare(old, expected)? {
            keep(hand, maker, node);
        }
        Ok(())
    }
}
