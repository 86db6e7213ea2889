//! The decision: the moment in which a mark ends, and with it what every weak pointer leads to.
//!
//! An upgrade makes something reachable out of nothing that a mark could see. So it takes part in the protocol:
//!
//! | mode | the upgrade of a weak pointer |
//! | --- | --- |
//! | `Off`, `Arm` | is a load like any other: what it yields is guarded by the barriers as if it had been loaded from a field |
//! | `Mark` | shades |
//! | `Close` | what is black, is a load. What is white, is asked for under one lock: not yet decided, it is shaded into the queue, which keeps the mark from ending; decided, it is dead for good |
//!
//! The collector decides under that lock, and only if nothing was shaded since the closing round began. Between the decision and
//! the handshake to `Off` it clears every weak pointer that leads to something white ([`clear`](Decision::clear)). So a mutation in
//! `Off` finds no weak pointer to anything dead, and needs no more than a load.
//!
//! The model (`linchpin-model`, `steps_weak`) leaves out each of these parts in turn.

use std::ptr::NonNull;

use super::ephemerons::Ephemerons;
use super::mark::Tracer;
use super::queue::{Grey, GreyQueue};
use crate::gc::weak::HandleTable;
use crate::memory::region::Region;
use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::sync::{AtomicBool, Mutex, Ordering, reordered};
use crate::trace::Trace;

/// Whether the mark in progress has ended, and what is to be done then.
#[derive(Default)]
pub(crate) struct Decision {
    /// Set from the decision to the handshake to `Off`.
    decided: Mutex<bool>,
    /// There is, or was, a weak pointer, a weak map or a cleanup.
    is_about_weak: AtomicBool,
    pub(crate) handles: HandleTable,
    pub(crate) ephemerons: Ephemerons,
}

impl Decision {
    /// Notes that there is something weak: a pointer, a map, or a cleanup.
    pub(crate) fn note_weak(&self) {
        // Relaxed, both here and below: what is made before its processor's answer to the last closing round is seen with that. What is
        // made later concerns what a mutation in `Close` has in hand while nothing is grey, which is black.
        if !self.is_about_weak.load(Ordering::Relaxed) {
            self.is_about_weak.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there is, or was, something weak. To be asked when a closing round has been answered.
    pub(crate) fn is_about_weak(&self) -> bool {
        self.is_about_weak.load(Ordering::Relaxed)
    }

    /// Decides, unless anything has been shaded since `pushed` batches had been pushed.
    pub(crate) fn decide(&self, queue: &GreyQueue, pushed: u64) -> bool {
        let is_quiet = || queue.pushed() == pushed && queue.is_empty();
        let too_early = reordered!("weak.decide").then(is_quiet);
        let mut decided = self.decided.lock();
        *decided = too_early.unwrap_or_else(is_quiet);
        *decided
    }

    /// Clears weak pointers to what is white. After the decision, and before the handshake to `Off`.
    pub(crate) fn clear(&self, region: &Region, black: u8) {
        self.handles.clear_dead(region, black);
        self.ephemerons.clear_dead(region, black);
    }

    /// Every processor is in `Off`.
    pub(crate) fn end(&self) {
        *self.decided.lock() = false;
        self.ephemerons.end_cycle();
    }
}

impl Mutator<'_> {
    /// Takes an object that a weak pointer leads to into hand; false if it is decided to be dead.
    ///
    /// # Safety
    /// In this mutation, `object` was loaded from a place that the collector clears when it decides the object to be dead.
    #[inline(always)]
    pub(crate) unsafe fn take_in_hand(&self, object: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        matches!(self.mode(), Mode::Off | Mode::Arm) || unsafe { self.take_in_hand_marking(object) }
    }

    /// # Safety
    /// As `take_in_hand`.
    #[cold]
    unsafe fn take_in_hand_marking(&self, object: NonNull<u8>) -> bool {
        if self.mode() == Mode::Mark {
            if !reordered!("weak.shade") {
                // SAFETY: the object is not freed before this mutation comes to a safepoint, or ends.
                unsafe { self.shade(object) };
            }
            return true;
        }
        let core = self.core();
        let mark = core.memory.region.mark(object.addr().get());
        let black = self.local().colour();
        // Relaxed: who finds it white by mistake looks again under the lock.
        if mark.load(Ordering::Relaxed) == black {
            return true;
        }
        let decided = core.decision.decided.lock();
        // Relaxed: if it is decided, all marks came before the decision, which the lock orders before this; if not, two who
        // find it white shade it twice, which is harmless.
        if mark.load(Ordering::Relaxed) == black {
            return true;
        }
        if *decided {
            return false;
        }
        if reordered!("weak.queue") {
            drop(decided);
            // SAFETY: the object is not freed before this mutation comes to a safepoint, or ends.
            unsafe { self.shade(object) };
            return true;
        }
        mark.store(black, Ordering::Relaxed);
        // Not into this processor's buffer, at which the round may have looked already.
        core.queue.push(vec![Grey(object)]);
        true
    }

    /// Takes what a value leads to into hand; the value is that of an ephemeron whose key is in hand.
    #[inline(always)]
    pub(crate) fn take_contents_in_hand<T: Trace>(&self, value: &T) {
        if T::NEEDS_TRACE && !matches!(self.mode(), Mode::Off | Mode::Arm) {
            self.take_contents_in_hand_marking(value);
        }
    }

    #[cold]
    fn take_contents_in_hand_marking<T: Trace>(&self, value: &T) {
        if reordered!("weak.contents") {
            return;
        }
        if self.mode() == Mode::Mark || reordered!("weak.contents_queue") {
            return self.local().shade_contents(self.core(), value);
        }
        let core = self.core();
        let decided = core.decision.decided.lock();
        // If it is decided, the key, which lives, has seen to it that all this is black.
        if !*decided {
            let mut tracer = Tracer::shading(&core.memory.region, self.local().colour(), Mode::Close);
            // Whatever it marks puts the decision off, be it only because it may be a key.
            tracer.keep_all(true);
            value.trace(&mut tracer);
            core.queue.push(tracer.take_grey());
            // A map that is part of the value, and not in an object: a pass that has begun does not know that it is reached, nor
            // does it find the map where it was, if it is being moved out. So there has to be another one.
            if !reordered!("weak.maps") && !tracer.take_weak_maps().is_empty() {
                core.queue.put_off();
            }
        }
    }
}
