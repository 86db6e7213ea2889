//! What threads do: mutations, their barriers, and their answers to handshakes.
//!
//! A mutation is a sequence of atomic steps on one processor. A store in a mode with a barrier is several: the swap,
//! then a step for each object to shade. A root or pin that is dropped outside any mutation is a mutation that does
//! nothing else.

use crate::config::{Config, Violation};
use crate::fault::Fault::*;
use crate::memory::Memory;
use crate::object::{Colour, Object, Objects};
use crate::processor::{Mode, Processor, Then};
use crate::report::{MutatorStep, Step};
use crate::search::Successor;
use crate::state::{Stage, State};

/// Adds every step that a processor can do in `state`.
pub(crate) fn steps(config: &Config, state: &State, successors: &mut Vec<Successor>) {
    for index in 0..config.processors {
        let mut mutation = Mutation { config, state, index, successors };
        mutation.steps();
    }
}

pub(crate) struct Mutation<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
    pub(crate) index: usize,
    successors: &'a mut Vec<Successor>,
}

impl Mutation<'_> {
    pub(crate) fn me(&self) -> &Processor {
        &self.state.processors[self.index]
    }

    /// Adds a step that makes `change`.
    pub(crate) fn add(&mut self, step: MutatorStep, change: impl FnOnce(&mut State, usize) -> Option<Violation>) {
        let mut next = *self.state;
        let violation = change(&mut next, self.index);
        self.successors.push(Successor { step: Step::Mutator(self.index, step), state: next, violation });
    }

    /// Adds a step that changes this processor, and the rest by `change`.
    pub(crate) fn add_sound(&mut self, step: MutatorStep, change: impl FnOnce(&mut State, &mut Processor)) {
        self.add(step, |next, index| {
            let mut me = next.processors[index];
            change(next, &mut me);
            next.processors[index] = me;
            None
        });
    }

    fn steps(&mut self) {
        let me = *self.me();
        let is_spare = self.config.spare && self.index + 1 == self.config.processors;
        if me.retired {
            self.revive();
            return;
        }
        let may_answer = match me.running {
            true => self.config.has(AnswerInsideMutation) || self.is_at_safepoint(),
            false => !me.is_held() || self.config.has(MomentNotHeld),
        };
        if !me.answered && may_answer {
            let keep_buffer = !me.running && self.config.has(IdleBufferLeftBehind);
            self.add_sound(MutatorStep::Answer(self.state.stage.asked_mode(self.config.faults)), |next, me| {
                answer(next, me, keep_buffer, self.config);
            });
        }
        if !me.taken.is_empty() {
            self.go_on_assisting();
            return;
        }
        if me.running && self.config.full_buffers && !me.buffer.is_empty() {
            self.hand_over_full_buffer();
        }
        if is_spare && !me.is_held() {
            self.hold_for_a_moment();
        } else if !me.running && !me.is_held() {
            self.add_sound(MutatorStep::Begin(me.mode), |_, me| me.running = true);
            self.retire();
        } else if !me.to_shade.is_empty() {
            for object in me.to_shade.each() {
                self.shade(object);
            }
        } else if me.then != Then::Anything {
            self.finish(me.then);
        } else {
            // A guard does not outlive its mutation; it can only be forgotten.
            if me.locks.is_empty() {
                self.add_sound(MutatorStep::End, |_, me| {
                    me.running = false;
                    me.hand = Objects::NONE;
                    me.weak = Objects::NONE;
                    me.in_hand = Memory::Never;
                });
            }
            if self.config.has_inner_locks() {
                self.use_inner_locks();
            } else if self.config.locks {
                self.use_locks();
            } else {
                self.store();
            }
            self.allocate();
            if !self.config.fixed_root {
                self.use_root();
            }
            self.use_pins();
            self.assist();
            self.use_weak();
            self.use_ephemeron();
        }
    }

    /// Whether the mutation may answer as it allocates: any handshake but the second, of which all that is in hand would have to be
    /// shaded. It is in the midst of no barrier.
    fn is_at_safepoint(&self) -> bool {
        let me = self.me();
        let asked = self.state.stage.asked_mode(self.config.faults);
        me.to_shade.is_empty()
            && me.taken.is_empty()
            && me.then == Then::Anything
            && (asked != Mode::Mark || self.config.has(MarkAnsweredInsideMutation))
    }

    /// Shades an object.
    fn shade(&mut self, object: Object) {
        let was = self.state.colour_of(object);
        let is_noted = is_noted(self.config, self.me().mode, object);
        self.add(MutatorStep::Shade { object, was }, |next, index| {
            let me = &mut next.processors[index];
            me.to_shade.remove(object);
            match was {
                Colour::Black => return None,
                Colour::Free => return Some(Violation::FreeSlotShaded(object)),
                Colour::White => next.colour[object as usize] = Colour::Black,
            }
            if is_noted {
                me.buffer.add(object);
            }
            (!next.stage.is_marking()).then_some(Violation::ShadedAfterMark(object))
        });
    }

    /// A buffer is full some time, and takes some time to arrive.
    fn hand_over_full_buffer(&mut self) {
        let is_lost = self.config.has(FullBufferLost);
        self.add_sound(MutatorStep::HandOverBuffer, |next, me| {
            let buffer = std::mem::take(&mut me.buffer);
            if !is_lost {
                next.queue = next.queue.and(buffer);
            }
        });
    }

    /// Retires the idle processor, unless it is the last one in use.
    fn retire(&mut self) {
        let mut others = self.state.processors[..self.config.processors].iter();
        if !self.config.resize || others.any(|each| each.retired) {
            return;
        }
        let empties = !self.config.has(RetiredNotEmptied);
        self.add_sound(MutatorStep::Retire, |next, me| {
            me.retired = true;
            me.holds_span = false;
            me.run = Objects::NONE;
            if empties {
                hand_over(next, me);
            }
        });
    }

    /// Takes the retired processor into use again, in the phase of the moment.
    fn revive(&mut self) {
        let mut mode = self.state.stage.asked_mode(self.config.faults);
        // After a closing round the phase stays.
        if mode == Mode::Mark && self.state.processors.iter().any(|each| !each.retired && each.mode == Mode::Close) {
            mode = Mode::Close;
        }
        if self.config.has(RevivedInOldMode) {
            mode = self.me().mode;
        }
        self.add_sound(MutatorStep::Revive(mode), |_, me| {
            me.retired = false;
            me.answered = true;
            me.mode = mode;
        });
    }

    /// What follows the barrier of the step before.
    fn finish(&mut self, then: Then) {
        let config = self.config;
        let flags = config.pin_flags;
        let held = match then {
            Then::SetRoot(_) => self.state.root,
            Then::Overwrite(object, _) => self.state.field[object as usize],
            _ => None,
        };
        if held.is_some_and(|held| self.state.colour_of(held) == Colour::White) && !self.is_plain(then) {
            self.add_sound(MutatorStep::FindsOther(held), |_, me| owe(me, true, held));
            return;
        }
        if let Then::ShadeUpgraded(object) = then {
            self.upgrade_undecided(object);
            return;
        }
        if let Then::AwaitLock(object) = then {
            self.take_awaited_lock(object);
            return;
        }
        if let Then::Insert(key, value) = then {
            self.insert_now(key, value);
            return;
        }
        self.add_sound(MutatorStep::Finish(then), |next, me| {
            me.then = Then::Anything;
            match then {
                Then::Anything | Then::ShadeUpgraded(_) | Then::AwaitLock(_) | Then::Insert(..) => {}
                Then::HandOver => hand_over(next, me),
                Then::DropRoot | Then::Unpin(_) => remove(next, then),
                Then::GiveLockBack(object) => {
                    me.locks.remove(object);
                    me.shared.remove(object);
                }
                Then::MakeRoot(object) => next.root = next.root.or(Some(object)),
                Then::RaiseFlag(object) if flags => {
                    raise_flag(config, next, me, object);
                }
                Then::CountPin(object) if flags && config.has(PinCountedBeforeFlag) => next.flagged.add(object),
                Then::RaiseFlag(object) | Then::CountPin(object) => next.pinned.add(object),
                Then::SetRoot(_) | Then::Overwrite(..) => put(config, next, me, then),
            }
        });
    }

    fn store(&mut self) {
        let me = *self.me();
        for object in me.hand.each().filter(|&object| !self.config.is_leaf(object)) {
            let old = self.state.field[object as usize];
            for value in null_or(me.hand) {
                let then = Then::Overwrite(object, value);
                let plain = self.is_plain(then);
                if value == old && (me.mode == Mode::Off || (old.is_none() && !plain)) {
                    continue;
                }
                let deletion = match me.mode {
                    Mode::Off => false,
                    Mode::Arm => !self.config.has(NoDeletionBarrierInArm),
                    Mode::Mark => !self.config.has(NoDeletionBarrierInMark),
                    Mode::Close => !self.config.has(NoDeletionBarrierInClose),
                };
                self.replace(then, old, deletion);
            }
        }
    }

    /// Whether what follows the barrier is a plain store, of whatever the field holds by then: in `Mark` and `Close`.
    fn is_plain(&self, then: Then) -> bool {
        let config = self.config;
        let plain = match self.me().mode {
            Mode::Off => false,
            Mode::Arm => config.has(PlainStoreInArm),
            Mode::Mark | Mode::Close => true,
        };
        plain && matches!(then, Then::Overwrite(..))
    }

    /// Begins to replace `old` as `then` says.
    fn replace(&mut self, then: Then, old: Option<Object>, deletion: bool) {
        let white = old.is_some_and(|old| self.state.colour_of(old) == Colour::White);
        let config = self.config;
        let shade_first = deletion && white && !config.has(ShadeAfterSwap);
        // What is compared fails, and begins again, unless all is as it was: then it may as well happen at once. A plain store
        // comes later, whatever it replaces.
        let later = shade_first || (self.is_plain(then) && !config.has(ShadeAfterSwap));
        self.add_sound(MutatorStep::Replace { then, old, later }, |next, me| {
            if later {
                owe(me, shade_first, old);
                me.then = then;
            } else {
                put(config, next, me, then);
                owe(me, deletion, old);
            }
        });
    }

    /// Takes the spare to drop the root or to unpin something, outside any mutation.
    fn hold_for_a_moment(&mut self) {
        let me = *self.me();
        let others = || self.state.processors.iter().map(|each| each.then);
        let has_root = !others().any(|then| matches!(then, Then::DropRoot | Then::SetRoot(_)));
        let is_busy = |object| others().any(|then| [Then::CountPin(object), Then::Unpin(object)].contains(&then));
        let root = self.state.root.filter(|_| has_root).map(|object| (object, Then::DropRoot, RootDropNotShaded));
        let pins = self.state.pinned.each().filter(|&object| !is_busy(object));
        for (object, then, fault) in
            root.into_iter().chain(pins.map(|object| (object, Then::Unpin(object), UnpinNotShaded)))
        {
            let shade = me.mode != Mode::Off && !self.config.has(fault);
            let late = self.is_late(then);
            self.add_sound(MutatorStep::HoldForMoment(then, me.mode), |next, me| {
                owe(me, shade, Some(object));
                if late {
                    remove(next, then);
                } else {
                    me.then = then;
                }
            });
        }
    }

    fn use_root(&mut self) {
        let me = *self.me();
        if self.state.processors.iter().any(|each| each.then == Then::DropRoot) {
            // Who drops a root has it alone; below, nobody drops it while somebody sets it.
            return;
        }
        let insertion = me.mode == Mode::Arm && !self.config.has(RootMadeInArmNotShaded);
        let Some(old) = self.state.root else {
            for object in me.hand.each() {
                self.add_sound(MutatorStep::MakeRoot(object), |next, me| {
                    if insertion {
                        owe(me, true, Some(object));
                        me.then = Then::MakeRoot(object);
                    } else {
                        next.root = Some(object);
                    }
                });
            }
            return;
        };
        if !self.state.processors.iter().any(|each| matches!(each.then, Then::SetRoot(_))) {
            let shade = me.mode != Mode::Off && !self.config.has(RootDropNotShaded);
            self.lose(MutatorStep::DropRoot(old), Then::DropRoot, old, shade);
        }
        let deletion = me.mode != Mode::Off && !self.config.has(RootSetNotShaded);
        for object in me.hand.each().filter(|&object| object != old) {
            self.replace(Then::SetRoot(object), Some(old), deletion);
        }
    }

    fn use_pins(&mut self) {
        let me = *self.me();
        // Pins that are being made take part in the bound; who unpins has the pinner alone.
        let busy = self.state.processors.iter().fold(Objects::NONE, |set, each| match each.then {
            Then::RaiseFlag(object) | Then::CountPin(object) | Then::Unpin(object) => {
                set.and(Objects::of(Some(object)))
            }
            _ => set,
        });
        let shade = me.mode == Mode::Arm && !self.config.has(PinMadeInArmNotShaded);
        let taken = self.state.pinned.and(busy);
        for object in me.hand.each().filter(|&object| taken.len() < self.config.pins && !taken.has(object)) {
            let (config, flags) = (self.config, self.config.pin_flags);
            self.add_sound(MutatorStep::Pin(object), |next, me| {
                owe(me, shade, Some(object));
                if shade {
                    me.then = Then::RaiseFlag(object);
                } else if flags {
                    raise_flag(config, next, me, object);
                } else {
                    next.pinned.add(object);
                }
            });
        }
        let shade = me.mode != Mode::Off && !self.config.has(UnpinNotShaded);
        for object in self.state.pinned.each().filter(|&object| !busy.has(object)) {
            self.lose(MutatorStep::Unpin(object), Then::Unpin(object), object, shade);
        }
    }

    /// Drops the root or unpins `object`, which is shaded before.
    fn lose(&mut self, step: MutatorStep, then: Then, object: Object, shade: bool) {
        let late = self.is_late(then);
        self.add_sound(step, |next, me| {
            owe(me, shade, Some(object));
            if shade && !late {
                me.then = then;
            } else {
                remove(next, then);
            }
        });
    }

    /// Whether what is lost is shaded afterwards.
    fn is_late(&self, then: Then) -> bool {
        self.config.has(if then == Then::DropRoot { RootDroppedBeforeShade } else { UnpinnedBeforeShade })
    }
}

/// Empties the root, or undoes a pin.
fn remove(next: &mut State, then: Then) {
    match then {
        Then::DropRoot => next.root = None,
        Then::Unpin(object) => next.pinned.remove(object),
        _ => {}
    }
}

/// Null, and each object of a set.
pub(crate) fn null_or(set: Objects) -> impl Iterator<Item = Option<Object>> {
    std::iter::once(None).chain(set.each().map(Some))
}

/// The first half of a pin; the second one counts it.
fn raise_flag(config: &Config, next: &mut State, me: &mut Processor, object: Object) {
    if config.has(PinCountedBeforeFlag) {
        next.pinned.add(object);
    } else {
        next.flagged.add(object);
    }
    me.then = Then::CountPin(object);
}

/// Replaces a pointer; in `Arm`, what was put there is to be shaded.
fn put(config: &Config, next: &mut State, me: &mut Processor, then: Then) {
    match then {
        Then::SetRoot(object) => {
            next.root = Some(object);
            owe(me, me.mode == Mode::Arm && !config.has(RootMadeInArmNotShaded), Some(object));
        }
        Then::Overwrite(object, value) => {
            next.field[object as usize] = value;
            owe(me, me.mode == Mode::Arm && !config.has(NoInsertionBarrierInArm), value);
        }
        _ => {}
    }
}

/// Whether what is shaded is noted: it has a field, or is shaded in `Close`.
pub(crate) fn is_noted(config: &Config, mode: Mode, object: Object) -> bool {
    !config.is_leaf(object) || (mode == Mode::Close && !config.has(LeafNotNotedInClose))
}

/// Notes what a barrier has to shade.
pub(crate) fn owe(me: &mut Processor, applies: bool, object: Option<Object>) {
    if applies {
        me.to_shade = me.to_shade.and(Objects::of(object));
    }
}

/// Adopts the newest phase: in every handshake the buffer is handed over.
fn answer(next: &mut State, me: &mut Processor, keep_buffer: bool, config: &Config) {
    me.mode = next.stage.asked_mode(config.faults);
    me.answered = true;
    if me.mode == Mode::Off {
        // Their handles have been cleared.
        me.weak = Objects::NONE;
        if !config.has(RunsKeptOverOff) {
            me.holds_span = false;
            me.run = Objects::NONE;
        }
    }
    if keep_buffer {
        return;
    }
    if config.has(AnsweredBeforeHandOver) && !me.running {
        me.then = Then::HandOver;
        return;
    }
    hand_over(next, me);
}

/// Gives the collector what the processor has shaded.
fn hand_over(next: &mut State, me: &mut Processor) {
    next.queue = next.queue.and(std::mem::take(&mut me.buffer));
}

impl Stage {
    /// The mode that processors which have not answered are asked for.
    fn asked_mode(self, faults: crate::fault::Faults) -> Mode {
        match self {
            Self::Rest | Self::AwaitOff | Self::Sweep => Mode::Off,
            Self::AwaitClose | Self::AwaitCloseAgain if faults.has(NoCloseHandshake) => Mode::Mark,
            Self::AwaitArm if faults.has(NoSecondHandshake) => Mode::Mark,
            Self::AwaitArm => Mode::Arm,
            Self::AwaitMark | Self::MarkRoot | Self::ListPins | Self::WalkPins | Self::Trace => Mode::Mark,
            Self::AwaitClose
            | Self::AwaitCloseAgain
            | Self::Decide
            | Self::Ephemerons
            | Self::ClearWeakRoot
            | Self::ClearWeakFields
            | Self::ClearEntry => Mode::Close,
        }
    }
}
