//! What threads do with locks around contents.
//!
//! With locks a field has no barrier of its own: it is changed by plain stores, by who has the lock. Who takes the lock in
//! `Arm` shades the contents, and does so again before giving it back; in `Mark` and `Close` once a cycle, and the lock
//! remembers. To look into an object is to take its lock for a moment, or to share it with other readers; it is possible
//! whenever no other mutation has it ([`State::load_everything`](crate::state::State::load_everything)). A guard can be
//! forgotten: then the lock is taken for ever, and the contents are out of reach.

use crate::config::Config;
use crate::fault::Fault::*;
use crate::memory::Memory;
use crate::object::Object;
use crate::processor::{Mode, Then};
use crate::report::MutatorStep;
use crate::state::State;
use crate::steps_mutator::{Mutation, owe};

impl Mutation<'_> {
    /// Takes locks, changes what is behind them, gives them back or forgets them.
    pub(crate) fn use_locks(&mut self) {
        let me = *self.me();
        let taken = self.state.processors.iter().fold(self.state.forgotten, |set, each| set.and(each.locks));
        for object in me.hand.without(taken).each() {
            self.take_lock(object);
        }
        for object in me.locks.each() {
            for value in std::iter::once(None).chain(me.hand.each().map(Some)) {
                if value != self.state.field[object as usize] {
                    let step = MutatorStep::ChangeContents(object, value);
                    self.add_sound(step, |next, _| next.field[object as usize] = value);
                }
            }
            self.give_lock_back(object);
            if !self.config.forgotten_guards {
                continue;
            }
            let in_use = self.config.has(ForgottenContentsInUse);
            self.add_sound(MutatorStep::ForgetGuard(object), |next, me| {
                me.locks.remove(object);
                next.forgotten.add(object);
                if !in_use {
                    // Nobody will ever look there again.
                    next.field[object as usize] = None;
                }
            });
        }
    }

    fn take_lock(&mut self, object: Object) {
        let mode = self.me().mode;
        let (config, old) = (self.config, self.state.field[object as usize]);
        let is_due = !self.state.lock_traced[0].has(object);
        let (shade, remember) = match mode {
            Mode::Off => (false, false),
            Mode::Arm => (!config.has(LockTakenInArmNotShaded), config.has(LockTracedInArmRemembered)),
            Mode::Mark | Mode::Close => (is_due && !config.has(LockTakenInMarkNotShaded), true),
        };
        let late = config.has(LockShadedAfterChange) && mode != Mode::Arm;
        self.add_sound(MutatorStep::TakeLock(object, shade && !late), |next, me| {
            me.locks.add(object);
            owe(me, shade && !late, old);
            if remember {
                next.remember_trace(object);
            }
        });
    }

    fn give_lock_back(&mut self, object: Object) {
        let me = *self.me();
        let (config, held) = (self.config, self.state.field[object as usize]);
        let late = config.has(LockShadedAfterChange) && matches!(me.mode, Mode::Mark | Mode::Close);
        let shade = late || (me.mode == Mode::Arm && !config.has(LockGivenBackInArmNotShaded));
        self.add_sound(MutatorStep::GiveLockBack(object, shade), |_, me| {
            owe(me, shade, held);
            if me.to_shade.is_empty() {
                me.locks.remove(object);
            } else {
                me.then = Then::GiveLockBack(object);
            }
        });
    }
}

impl State {
    /// The lock of an object remembers that its contents were traced in this cycle.
    pub(crate) fn remember_trace(&mut self, object: Object) {
        self.lock_traced[0].add(object);
        self.lock_traced[1].remove(object);
    }

    /// Whether a marker that comes to an object passes by its lock; if not, the lock remembers it.
    pub(crate) fn passes_by(&mut self, object: Object, remembers: bool, config: &Config) -> bool {
        // Who shares it, to have the inner one, keeps no marker from it; but who waits until nobody shares it may.
        let taken = self.processors.iter().fold(self.forgotten, |set, each| set.and(each.locks.without(each.shared)));
        let is_awaited = self.processors.iter().any(|each| each.then == Then::AwaitLock(object));
        self.passed_by |= taken.has(object) || (is_awaited && !config.has(PassingByForWaitingNotCounted));
        if taken.has(object) || is_awaited || self.lock_traced[0].has(object) {
            return true;
        }
        if remembers {
            self.remember_trace(object);
        }
        false
    }

    /// A new object in this slot has a new lock.
    pub(crate) fn renew_lock(&mut self, object: Object) {
        for set in self.lock_traced.iter_mut().chain([&mut self.forgotten]) {
            set.remove(object);
        }
        self.inner[object as usize] = Memory::Never;
    }
}
