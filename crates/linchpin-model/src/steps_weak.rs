//! What threads do with weak pointers.
//!
//! A weak pointer is loaded, and upgraded later or never. An upgrade of what is black, or in `Off` and `Arm`, is a load
//! like any other ([`State::load_everything`](crate::state::State::load_everything)). In `Mark` it shades. In `Close`
//! it looks under a lock whether the mark's end is decided; if not, it shades into the collector's queue, which keeps
//! the mark from ending; if so, it fails, for good. To copy a weak pointer is allowed on the same condition, under the
//! same lock: a copy made after its cell was looked at would outlive the object.

use crate::config::Violation;
use crate::fault::Fault::*;
use crate::object::{Colour, MOST_OBJECTS, Object, Objects};
use crate::processor::{Mode, Then};
use crate::report::MutatorStep;
use crate::state::State;
use crate::steps_mutator::{Mutation, owe};

impl Mutation<'_> {
    /// Upgrades and sets weak pointers.
    pub(crate) fn use_weak(&mut self) {
        if !self.config.is_weak() {
            return;
        }
        let me = *self.me();
        let is_decided = me.mode == Mode::Close && !self.state.stage.is_marking();
        for object in me.weak.each() {
            if me.mode != Mode::Close {
                self.add_sound(MutatorStep::Upgrade(object), |_, me| {
                    me.hand.add(object);
                    owe(me, true, Some(object));
                });
            } else if is_decided && !self.config.has(UpgradeAfterDecision) {
                self.add(MutatorStep::UpgradeFails(object), |next, index| {
                    next.processors[index].weak.remove(object);
                    fail(next, object)
                });
            } else if self.config.has(UpgradeOutsideLock) {
                self.add_sound(MutatorStep::LooksUndecided(object), |_, me| me.then = Then::ShadeUpgraded(object));
            } else {
                self.upgrade_undecided(object);
            }
        }
        let checked = if is_decided && !self.config.has(WeakCopiedUnchecked) { Objects::NONE } else { me.weak };
        let owners = me.hand.each().filter(|_| self.config.weak_fields).map(Some);
        for owner in owners.chain(self.config.weak_root.then_some(None)) {
            let cell = cell_of(owner);
            for value in me.hand.and(checked).each().filter(|&value| self.state.weak[cell] != Some(value)) {
                self.add_sound(MutatorStep::SetWeak(owner, value), |next, _| next.weak[cell] = Some(value));
            }
        }
    }

    /// Upgrades in `Close`, where the end of the mark counts as not decided.
    pub(crate) fn upgrade_undecided(&mut self, object: Object) {
        let is_counted = !self.config.has(UpgradeInCloseNotCounted);
        self.add(MutatorStep::UpgradeUndecided(object), |next, index| {
            let was = next.colour_of(object);
            let me = &mut next.processors[index];
            me.then = Then::Anything;
            me.hand.add(object);
            match was {
                Colour::Free => return Some(Violation::FreeSlotShaded(object)),
                Colour::Black => return None,
                Colour::White if is_counted => next.queue.add(object),
                Colour::White => me.buffer.add(object),
            }
            next.colour[object as usize] = Colour::Black;
            (!next.stage.is_marking()).then_some(Violation::UpgradedDead(object))
        });
    }
}

/// The place of the weak field of an object, or of the weak root.
pub(crate) fn cell_of(owner: Option<Object>) -> usize {
    owner.map_or(MOST_OBJECTS, usize::from)
}

/// Notes that `object` counts as dead; it must not be in use.
pub(crate) fn fail(next: &mut State, object: Object) -> Option<Violation> {
    next.failed.add(object);
    next.reachable_from(next.held()).has(object).then_some(Violation::FailedWhileInUse(object))
}
