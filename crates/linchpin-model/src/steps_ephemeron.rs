//! Ephemerons: a weak map with room for one entry, which keeps the value as long as something else keeps the key.
//!
//! Who has the key in hand may look up its value. In `Off` and `Arm`, or if the value is black, that is a load
//! ([`State::load_everything`]). In `Mark` it shades the value. In `Close` it asks, under the lock of the decision: if the
//! mark's end is not decided, it shades into the collector's queue; if it is, the value is black, as the key is. Who removes
//! an entry, or replaces its value, does the same, and shades in `Arm`, too; who inserts one in `Arm` shades the value.
//!
//! Every step on the entry is under the lock of the map, in which nobody sees what was shaded and what was not changed yet. So
//! that is one step; only what is inserted is shaded before.
//!
//! Who inserts one in `Arm` shades the key as well, since the map may be new: made by another mutation, in `Mark` already. Such a map is
//! black, so nobody comes to it in this cycle, and the collector does not look at what is in it; all of that lives anyway.
//!
//! When a closing round has brought nothing, the collector looks at the entry. If the key is black, and the value white, it
//! marks the value, traces on, and there is another round, and another look. Else the mark ends, unless something was shaded
//! since the round began. Then, and before the handshake to `Off`, the entry goes if its key is white.

use crate::config::{Config, Violation};
use crate::fault::Fault::{self, *};
use crate::object::{Colour, Object, Objects};
use crate::processor::{Mode, Then};
use crate::report::MutatorStep;
use crate::state::{Stage, State};
use crate::steps_collector::{enter, visit};
use crate::steps_mutator::{Mutation, is_noted, owe};
use crate::steps_weak::fail;

impl Mutation<'_> {
    /// Looks up, inserts and removes.
    pub(crate) fn use_ephemeron(&mut self) {
        if !self.config.ephemeron {
            return;
        }
        let (config, me, entry) = (self.config, *self.me(), self.state.entry);
        if config.new_maps && entry.is_none() && !self.state.map_is_new && matches!(me.mode, Mode::Mark | Mode::Close) {
            self.add_sound(MutatorStep::MakeMap, |next, _| next.map_is_new = true);
        }
        if let Some((key, value)) = entry.filter(|&(key, _)| me.hand.has(key)) {
            if !me.hand.has(value) {
                self.add(MutatorStep::LookUp(key, value), |next, index| next.take_value(config, index, value, None));
            }
            self.add(MutatorStep::Remove(key, value), |next, index| {
                next.entry = None;
                next.take_value(config, index, value, removed_in(me.mode))
            });
        }
        for key in me.hand.each().filter(|&key| entry.is_none_or(|(there, _)| there == key)) {
            for value in me.hand.each().filter(|&value| entry != Some((key, value))) {
                let shades_key = me.mode == Mode::Arm && !config.has(KeyInsertedInArmNotShaded);
                let shades_value = me.mode == Mode::Arm && !config.has(EntryInsertedInArmNotShaded);
                if shades_key || shades_value {
                    self.add_sound(MutatorStep::BeginInsert(key, value), |_, me| {
                        owe(me, shades_key, Some(key));
                        owe(me, shades_value, Some(value));
                        me.then = Then::Insert(key, value);
                    });
                } else {
                    self.insert_now(key, value);
                }
            }
        }
    }

    /// Puts an entry into the map, or a value into the one of that key.
    pub(crate) fn insert_now(&mut self, key: Object, value: Object) {
        let (config, me, entry) = (self.config, *self.me(), self.state.entry);
        if entry.is_some_and(|(there, _)| there != key) {
            // A map would have room for both.
            self.add_sound(MutatorStep::FindsOtherKey, |_, me| me.then = Then::Anything);
            return;
        }
        self.add(MutatorStep::Insert(key, value), |next, index| {
            next.processors[index].then = Then::Anything;
            next.entry = Some((key, value));
            entry.and_then(|(_, old)| next.take_value(config, index, old, removed_in(me.mode)))
        });
    }
}

/// What leaves out the shade of what is removed; if it has one, which in `Off` it has not.
fn removed_in(mode: Mode) -> Option<Fault> {
    match mode {
        Mode::Off => None,
        Mode::Arm => Some(EntryRemovedInArmNotShaded),
        Mode::Mark => Some(EntryRemovedInMarkNotShaded),
        Mode::Close => Some(EntryRemovedInCloseNotShaded),
    }
}

impl State {
    /// Takes a value in hand that is looked up; or that is removed, with what leaves out its shade.
    fn take_value(
        &mut self,
        config: &Config,
        index: usize,
        value: Object,
        removed: Option<Fault>,
    ) -> Option<Violation> {
        let is_marking = self.stage.is_marking();
        let me = &mut self.processors[index];
        me.hand.add(value);
        let (applies, into_queue) = match me.mode {
            Mode::Off => (false, false),
            Mode::Arm => (removed.is_some(), false),
            Mode::Mark => (true, false),
            Mode::Close => (is_marking, !config.has(LookUpInCloseNotCounted)),
        };
        if !applies || removed.is_some_and(|fault| config.has(fault)) {
            return None;
        }
        match self.colour[value as usize] {
            Colour::Black => return None,
            Colour::Free => return Some(Violation::FreeSlotShaded(value)),
            Colour::White => self.colour[value as usize] = Colour::Black,
        }
        if into_queue {
            self.queue.add(value);
        } else if is_noted(config, me.mode, value) {
            me.buffer.add(value);
        }
        (!is_marking).then_some(Violation::ShadedAfterMark(value))
    }

    /// Looks up the value of a key in hand, if that is a load; returns what is in hand then.
    pub(crate) fn load_value(&self, config: &Config, index: usize, hand: Objects) -> Objects {
        let Some((_, value)) = self.entry.filter(|&(key, value)| hand.has(key) && !hand.has(value)) else {
            return hand;
        };
        let is_load = match self.processors[index].mode {
            Mode::Off | Mode::Arm => true,
            _ if self.colour_of(value) != Colour::White => true,
            Mode::Mark => config.has(LookUpNotShadedInMark),
            // What is decided is not asked for its colour.
            Mode::Close => !self.stage.is_marking() || config.has(LookUpNotShadedInClose),
        };
        if !is_load {
            return hand;
        }
        self.reachable_past(Objects::NONE, hand.and(Objects::of(Some(value))))
    }

    /// The entry of the map, if the collector looks at that.
    pub(crate) fn entry_looked_at(&self) -> Option<(Object, Object)> {
        self.entry.filter(|_| !self.map_is_new)
    }

    /// Key or value of an entry, if the slot is free.
    pub(crate) fn free_in_entry(&self) -> Option<Object> {
        let (key, value) = self.entry?;
        [key, value].into_iter().find(|&object| self.colour_of(object) == Colour::Free)
    }
}

/// Whether a round that has brought nothing is followed by a pass.
pub(crate) fn has_pass(config: &Config, state: &State) -> bool {
    let is_left_out = config.has(EphemeronsNotTraced)
        || config.has(EphemeronsBeforeRoundsOnly)
        || (config.has(EphemeronsTracedOnce) && state.had_pass);
    config.ephemeron && !is_left_out
}

/// The value of the entry, if a pass marks it.
pub(crate) fn value_to_trace(config: &Config, state: &State) -> Option<Object> {
    let (key, value) = state.entry_looked_at()?;
    let is_due = state.colour_of(key) == Colour::Black || config.has(ValueOfWhiteKeyTraced);
    (is_due && state.colour_of(value) != Colour::Black).then_some(value)
}

/// Looks at the entry: marks the value if the key is marked; and decides if there was nothing to mark.
pub(crate) fn pass(config: &Config, next: &mut State) -> Option<Violation> {
    next.had_pass = config.has(EphemeronsTracedOnce);
    if let Some(value) = value_to_trace(config, next) {
        return visit(next, value).or(enter(next, Stage::Trace));
    }
    let violation = if config.has(EntryClearedInPass) { clear_entry(next) } else { None };
    enter(next, Stage::Decide);
    violation
}

/// Removes the entry if its key is white.
pub(crate) fn clear_entry(next: &mut State) -> Option<Violation> {
    let (key, _) = next.entry_looked_at().filter(|&(key, _)| next.colour_of(key) == Colour::White)?;
    next.entry = None;
    fail(next, key)
}
