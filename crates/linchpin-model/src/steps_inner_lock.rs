//! What threads do with locks behind locks.
//!
//! Behind the lock of an object, the outer one, is another, the inner one, and behind that the field. Who has the outer lock alone
//! owns the inner one: it may take it out, put another one there, old or new, and change what is behind either without taking
//! it. A lock that was taken out is in hand, and may become part of a new object, or be put behind another outer lock. Who shares
//! the outer lock takes the inner one, as any other.
//!
//! * Who shares an outer lock without having the inner one only keeps others waiting, which nobody can tell from their coming
//!   later. So both are taken, and given back, in one step. To read through both is to look ([`steps_lock`](super::steps_lock)).
//! * But a marker does tell one thing: it passes by a lock that a writer is about to have, who waited for readers. Here it does so as
//!   soon as the writer waits. Who waits, and is not passed by, has not begun to wait here.
//! * Contents that a mutation owns, behind a lock it has or in hand, it may change at any time, and nobody sees them. So they are
//!   in its hand, like all it has ever loaded, and what is behind the lock is chosen when others can see it again.
//! * In `Off` it makes no difference for how long a mutation has a lock. So whatever it does there with what is behind one is a
//!   single step.
//! * There is always a lock in hand: a new one, with nothing behind it, if no other.
//! * A marker has the outer lock while it looks behind the inner one. Others may share that meanwhile, and take the inner one
//!   before the marker: that is as if they had come before its look at the outer one, of which they take no notice.

use crate::config::Config;
use crate::fault::Fault::*;
use crate::memory::Memory;
use crate::object::{Object, Objects};
use crate::processor::{Mode, Processor, Then};
use crate::report::MutatorStep;
use crate::state::State;
use crate::steps_mutator::{Mutation, null_or, owe};

impl Mutation<'_> {
    /// Takes locks, moves those behind them, changes what is behind these, gives them back or forgets them.
    pub(crate) fn use_inner_locks(&mut self) {
        let me = *self.me();
        let taken = self.taken();
        if me.mode == Mode::Off {
            for object in me.hand.without(taken).each() {
                self.change_contents_in_off(object);
            }
            self.use_lock_in_hand();
            return;
        }
        // Before and after, no marker is there to see who waits.
        let may_wait = self.config.shared_locks && self.state.stage.is_marking();
        let waits = may_wait && matches!(me.mode, Mode::Mark | Mode::Close);
        for object in me.hand.without(me.locks).each() {
            if waits && !self.state.forgotten.has(object) {
                self.add_sound(MutatorStep::AwaitLock(object), |_, me| me.then = Then::AwaitLock(object));
            } else if !taken.has(object) {
                self.take_outer_lock(object);
            }
            if self.config.shared_locks && !taken.has(object) && self.state.inner[object as usize] != Memory::Forgotten
            {
                self.take_inner_lock(object);
            }
        }
        for object in me.locks.each() {
            for value in null_or(me.hand) {
                self.put_behind_lock(object, value);
            }
            if me.shared.has(object) {
                self.forget_inner_guard(object);
            } else {
                self.swap_inner_lock(object);
                self.forget_outer_guard(object);
            }
        }
        self.use_lock_in_hand();
    }

    /// Objects whose field somebody keeps others from.
    fn taken(&self) -> Objects {
        self.state.processors.iter().fold(self.state.forgotten, |set, each| set.and(each.locks))
    }

    /// Takes an outer lock that this mutation waits for, unless somebody else has it.
    pub(crate) fn take_awaited_lock(&mut self, object: Object) {
        if !self.taken().has(object) {
            self.take_outer_lock(object);
        }
    }

    fn take_outer_lock(&mut self, object: Object) {
        let (config, mode) = (self.config, self.me().mode);
        let shade = match mode {
            Mode::Off => false,
            Mode::Arm => true,
            Mode::Mark | Mode::Close => !self.state.lock_traced[0].has(object),
        };
        self.add_sound(MutatorStep::TakeLock(object, shade), |next, me| {
            me.then = Then::Anything;
            me.locks.add(object);
            if shade {
                shade_past_inner_lock(config, next, me, object, InnerLockKeptWhenTakenInArm);
            }
            if matches!(mode, Mode::Mark | Mode::Close) {
                next.remember_trace(object);
            }
            own_field(next, me, object);
        });
    }

    fn take_inner_lock(&mut self, object: Object) {
        let (config, mode) = (self.config, self.me().mode);
        let is_due = self.state.inner[object as usize] != Memory::ThisCycle;
        let shade = match mode {
            Mode::Off => false,
            Mode::Arm => !config.has(InnerLockTakenInArmNotShaded),
            Mode::Mark | Mode::Close => is_due && !config.has(InnerLockTakenInMarkNotShaded),
        };
        self.add_sound(MutatorStep::TakeInnerLock(object, shade), |next, me| {
            me.locks.add(object);
            me.shared.add(object);
            owe(me, shade, next.field[object as usize]);
            if matches!(mode, Mode::Mark | Mode::Close) {
                next.inner[object as usize] = Memory::ThisCycle;
            }
            own_field(next, me, object);
        });
    }

    /// Leaves a value behind the inner lock of an object, and gives back what it has.
    fn put_behind_lock(&mut self, object: Object, value: Option<Object>) {
        let (config, me) = (self.config, *self.me());
        let is_shared = me.shared.has(object);
        if value.is_some() && self.state.inner[object as usize] == Memory::Forgotten {
            return;
        }
        let shade = me.mode == Mode::Arm && !(is_shared && config.has(InnerLockGivenBackInArmNotShaded));
        self.add_sound(MutatorStep::PutBehindLock(object, value, shade), |next, me| {
            next.field[object as usize] = value;
            if is_shared {
                owe(me, shade, value);
            } else if shade {
                shade_past_inner_lock(config, next, me, object, InnerLockKeptWhenGivenBackInArm);
            }
            if me.to_shade.is_empty() {
                me.locks.remove(object);
                me.shared.remove(object);
            } else {
                me.then = Then::GiveLockBack(object);
            }
        });
    }

    /// Puts the lock in hand behind the outer lock of an object, and has in hand what was there.
    fn swap_inner_lock(&mut self, object: Object) {
        let memory = self.state.inner[object as usize];
        if self.config.moved_locks && memory != self.me().in_hand {
            self.add_sound(MutatorStep::SwapInnerLock(object, memory), |next, me| {
                std::mem::swap(&mut next.inner[object as usize], &mut me.in_hand);
                own_field(next, me, object);
            });
        }
    }

    /// Does all that can be done with the locks of an object, each at once.
    fn change_contents_in_off(&mut self, object: Object) {
        if self.state.inner[object as usize] == Memory::Forgotten {
            self.swap_inner_lock(object);
        } else {
            for value in null_or(self.me().hand).filter(|&value| value != self.state.field[object as usize]) {
                let step = MutatorStep::ChangeContents(object, value);
                self.add_sound(step, |next, _| next.field[object as usize] = value);
            }
            self.swap_inner_lock(object);
            self.forget_inner_guard(object);
        }
        self.forget_outer_guard(object);
    }

    fn forget_outer_guard(&mut self, object: Object) {
        if self.config.forgotten_guards {
            self.add_sound(MutatorStep::ForgetGuard(object), |next, me| {
                me.locks.remove(object);
                next.field[object as usize] = None;
                next.renew_lock(object);
                next.forgotten.add(object);
            });
        }
    }

    /// The outer lock is given back; the inner one is not, and may be moved by who owns it later.
    fn forget_inner_guard(&mut self, object: Object) {
        if !self.config.forgotten_guards {
            return;
        }
        let hand = self.me().hand;
        let kept = if self.config.has(InnerForgottenContentsInUse) { hand } else { Objects::NONE };
        for value in null_or(kept) {
            self.add_sound(MutatorStep::ForgetInnerGuard(object, value), |next, me| {
                me.locks.remove(object);
                me.shared.remove(object);
                next.inner[object as usize] = Memory::Forgotten;
                next.field[object as usize] = value;
            });
        }
    }

    /// Takes the lock in hand as if it had to, or drops it.
    fn use_lock_in_hand(&mut self) {
        if !self.config.moved_locks {
            return;
        }
        let me = *self.me();
        if me.in_hand != Memory::Never {
            self.add_sound(MutatorStep::DropInHand, |_, me| me.in_hand = Memory::Never);
        }
        let remembers = match me.mode {
            Mode::Off => return,
            Mode::Arm => false,
            Mode::Mark | Mode::Close => true,
        };
        if me.in_hand == Memory::Forgotten || (remembers && me.in_hand == Memory::ThisCycle) {
            return;
        }
        for value in null_or(me.hand).filter(|value| remembers || value.is_some()) {
            self.add_sound(MutatorStep::LockInHand(value), |_, me| {
                owe(me, true, value);
                if remembers {
                    me.in_hand = Memory::ThisCycle;
                }
            });
        }
    }
}

/// What is behind a lock that was taken is in hand.
fn own_field(next: &mut State, me: &mut Processor, object: Object) {
    me.hand = me.hand.and(Objects::of(next.field[object as usize].take()));
}

/// Shades what the contents of an outer lock lead to, which is what is behind the inner one.
fn shade_past_inner_lock(config: &Config, next: &mut State, me: &mut Processor, object: Object, keeps: crate::Fault) {
    let memory = &mut next.inner[object as usize];
    let is_due = *memory != Memory::ThisCycle;
    let (shade, after) = match (me.mode, *memory) {
        (_, Memory::Forgotten) => return,
        (Mode::Arm, _) if config.has(InnerLockTracedInArmRemembered) => (is_due, Memory::ThisCycle),
        (Mode::Arm, Memory::ThisCycle) if config.has(InnerLockOfThisCycleKeptInArm) => (true, *memory),
        (Mode::Arm, Memory::LastCycle) if config.has(InnerLockOfLastCycleKeptInArm) => (true, *memory),
        (Mode::Arm, _) if config.has(keeps) => (true, *memory),
        (Mode::Arm, _) => (true, Memory::Never),
        _ if config.has(InnerLockLeftOutInMark) => (false, *memory),
        _ if config.has(InnerLockShadedInMarkForgotten) => (is_due, *memory),
        _ => (is_due, Memory::ThisCycle),
    };
    *memory = after;
    owe(me, shade, next.field[object as usize]);
}

impl State {
    /// Whether a marker that looks behind the outer lock of an object passes by the inner one; if not, that remembers it.
    pub(crate) fn passes_by_inner(&mut self, config: &Config, object: Object) -> bool {
        let memory = self.inner[object as usize];
        let is_taken = memory == Memory::Forgotten || self.processors.iter().any(|each| each.shared.has(object));
        self.passed_by |= is_taken && !config.has(InnerPassingByNotCounted);
        if is_taken || memory == Memory::ThisCycle {
            return true;
        }
        if !config.has(InnerLockTracedByMarkerForgotten) {
            self.inner[object as usize] = Memory::ThisCycle;
        }
        false
    }
}
