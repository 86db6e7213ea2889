//! How objects are born: in a slot of its own span, or of a run in the one span that all slots are in.

use crate::config::Violation;
use crate::fault::Fault::*;
use crate::memory::Memory;
use crate::object::{Colour, Object, Objects};
use crate::processor::{Mode, Processor};
use crate::report::MutatorStep;
use crate::state::{Stage, State};
use crate::steps_mutator::{Mutation, null_or};

impl Mutation<'_> {
    /// Allocates, with any value that the mutation has in hand.
    pub(crate) fn allocate(&mut self) {
        let me = *self.me();
        let white = match me.mode {
            // The colour of the last cycle, which is white from the flip on.
            Mode::Off if self.state.stage.is_marking() => !self.config.has(AllocateBlackBeforeArm),
            Mode::Off => self.state.stage != Stage::Rest && self.config.has(AllocateWhiteAfterMark),
            Mode::Arm => !self.config.has(AllocateBlackInArm),
            Mode::Mark => self.config.has(AllocateWhiteInMark),
            Mode::Close => self.config.has(AllocateWhiteInClose),
        };
        let colour = if white { Colour::White } else { Colour::Black };
        if self.config.one_span {
            self.allocate_in_span(colour);
            return;
        }
        // From the end of the mark on, a processor in `Off` takes slots of swept spans and fresh ones. A fresh span
        // has nothing to sweep.
        let in_fresh_span = me.mode == Mode::Off && !self.config.has(RunsKeptOverOff);
        for object in self.state.coloured(Colour::Free).each().filter(|&object| (object as usize) < self.config.objects)
        {
            if in_fresh_span && self.state.sweeping == Some(object) {
                continue;
            }
            let in_hand = std::iter::once(Memory::Never).chain((me.in_hand != Memory::Never).then_some(me.in_hand));
            for (lock, value) in in_hand.flat_map(|lock| null_or(me.hand).map(move |value| (lock, value))) {
                if value.is_some() && (lock == Memory::Forgotten || self.config.is_leaf(object)) {
                    continue;
                }
                let around = (lock != Memory::Never).then_some(lock);
                self.add_sound(MutatorStep::Allocate { object, value, colour, around }, |next, me| {
                    bear(next, me, Newborn { object, value, colour });
                    if around.is_some() {
                        next.inner[object as usize] = std::mem::take(&mut me.in_hand);
                    }
                    if in_fresh_span && !next.stage.is_marking() {
                        next.to_visit.remove(object);
                    }
                });
            }
        }
    }

    /// Takes the span that all slots are in, finds a run in it, and allocates in that without a further look.
    fn allocate_in_span(&mut self, colour: Colour) {
        let me = *self.me();
        let free = Objects::first(self.config.objects).both(self.state.coloured(Colour::Free));
        if me.holds_span {
            for object in me.run.each() {
                for value in null_or(me.hand) {
                    let around = None;
                    self.add(MutatorStep::Allocate { object, value, colour, around }, |next, index| {
                        if next.colour_of(object) != Colour::Free {
                            return Some(Violation::HandedOutTwice(object));
                        }
                        let mut me = next.processors[index];
                        me.run.remove(object);
                        bear(next, &mut me, Newborn { object, value, colour });
                        next.processors[index] = me;
                        None
                    });
                }
            }
            if me.run.is_empty() {
                self.add_sound(MutatorStep::GiveSpanBack, |_, me| me.holds_span = false);
            }
            return;
        }
        let is_swept_now = self.state.stage == Stage::Sweep && !self.state.to_visit.is_empty();
        let is_held = self.state.processors.iter().any(|each| each.holds_span);
        let is_fresh = free == Objects::first(self.config.objects);
        let is_stale = self.state.stale && me.mode == Mode::Off && !is_fresh;
        let is_taken = (is_swept_now && !self.config.has(SpanTakenWhileSwept))
            || (is_held && !self.config.has(SpanTakenTwice))
            || (is_stale && !is_swept_now && !self.config.has(StaleSpanTakenInOff));
        if !is_taken && !free.is_empty() {
            self.add_sound(MutatorStep::TakeSpan(free), |next, me| {
                me.holds_span = true;
                me.run = free;
                // An empty span is a fresh one, or one that was swept and closed.
                next.stale &= !(is_fresh && me.mode == Mode::Off);
            });
        }
    }
}

/// An object that is allocated.
struct Newborn {
    object: Object,
    value: Option<Object>,
    colour: Colour,
}

/// Puts a new object into its slot.
fn bear(next: &mut State, me: &mut Processor, newborn: Newborn) {
    let Newborn { object, value, colour } = newborn;
    next.colour[object as usize] = colour;
    next.field[object as usize] = value;
    next.weak[object as usize] = None;
    next.renew_lock(object);
    me.hand.add(object);
}
