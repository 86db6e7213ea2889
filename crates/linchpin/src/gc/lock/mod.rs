//! Locks around contents that hold pointers: [`GcMutex`], [`GcRwLock`]; and [`GcOnce`], which is written once.
//!
//! A pointer field passes the barrier store by store. What is behind a lock may be anything, a `Vec` that moves, an enum of
//! several words, and is changed by plain Rust through `&mut`. So the barrier is at the lock:
//!
//! | mode | who gets the lock to change the contents | who gives it back |
//! | --- | --- | --- |
//! | `Off` | nothing | nothing |
//! | `Arm` | shades all the contents | shades all the contents |
//! | `Mark`, `Close` | shades all the contents, the first time in a cycle, and has the lock remember that | nothing |
//!
//! Before the first change all that was there at the snapshot is shaded, which is what the deletion barrier of a field does, all
//! at once; what is put there afterwards is part of the snapshot or black. In `Arm` that may not be so (the mutation may have
//! in hand what one in `Off` has unlinked), hence the second shade, the insertion barrier. And what is shaded in `Arm` is
//! not remembered: a mutation still in `Off` may change the contents afterwards, before the snapshot, without a word.
//!
//! **The marker** takes the lock, too, if nobody has it, traces the contents unless the lock remembers that they were traced
//! in this cycle, and has it remember. If somebody has the lock, the marker passes by. That is right whoever it is:
//!
//! * a mutation in `Mark` or `Close` shades the contents, or somebody has done so in this cycle;
//! * a mutation in `Off` or `Arm` it cannot be: markers run when handshake 2 is through;
//! * another marker traces them;
//! * or it was a mutation that has ended, and its guard was forgotten (`mem::forget`). Then nobody will ever look at the
//!   contents again, be it through the lock or past it ([`GcMutex::get_mut`] refuses), so they need not be traced, in this
//!   cycle or any other.
//!
//! In the first of these cases there is one more closing round than otherwise. The mutation may have the lock, and not have
//! shaded everything yet, when the marker passes by, and the round begins. Another mutation, which has answered already, can
//! shade one of these objects meanwhile, into a buffer that the round does not look at again; the first one finds it black
//! then, and has nothing to hand over. (For a pointer field that cannot be: what leads to the object is traced, or is still
//! to be.) When the round is through, the mutation has ended; the next round finds what was shaded into either buffer. The
//! model found this, too: `PassingByNotCounted`.
//!
//! So a marker never waits for a lock; but who wants to change what a marker looks at waits until it has: for as long, at most,
//! as it would itself take to shade the contents. To read through a [`GcRwLock`] needs no barrier, and waits for no marker.
//!
//! **What a lock remembers** is the colour of the cycle in which its contents were traced last, which with two colours must never
//! be two cycles old. It is not: in each cycle an object that survives is traced, with its locks, or was born in it.
//!
//! **Locks behind locks** can be taken out by who has the outer one, changed past their own ([`GcMutex::get_mut`]), and put
//! elsewhere: behind another lock, or into a new object. In `Mark` such a lock remembers this cycle (or, if it is new, nothing), since
//! the contents it came from were traced. In `Arm` it must remember nothing, or who traces the place it goes to would leave it
//! out: in this cycle, if a mutation already in `Mark` had it remember, though what `Arm` alone has in hand was put behind it; in the
//! next one, if it remembers the cycle before and goes to what is not traced in this one. So a shade in `Arm` has each lock it comes to
//! forget.
//!
//! The model (`linchpin-model`, `steps_lock` and `steps_inner_lock`) leaves out each of these parts in turn. It has two locks behind each
//! other, no more, and no [`GcOnce`]: that what is written once is shaded first was found by reading, as the rules for locks behind
//! locks were before the model had them. The tests beside this play that through.

mod mutex;
mod once;
mod rw_lock;
#[cfg(all(test, not(loom)))]
mod tests;

pub use mutex::{GcMutex, GcMutexGuard};
pub use once::GcOnce;
pub use rw_lock::{GcRwLock, GcRwLockReadGuard, GcRwLockWriteGuard};

use crate::collector::mark::{LockMemory, Tracer};
use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::sync::{AtomicU8, Ordering, reordered};
use crate::trace::Trace;

/// What a lock remembers: the colour that its contents were last traced with.
///
/// Read and written by who has the lock, so relaxed. (Of two markers that share a [`GcRwLock`] both may trace the
/// contents, which is harmless.)
#[derive(Debug)]
struct Traced(AtomicU8);

impl Traced {
    #[cfg(not(loom))]
    const fn never() -> Self {
        Self(AtomicU8::new(0))
    }

    #[cfg(loom)]
    fn never() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Has the lock remember a trace with `colour`; whether it does not already.
    fn is_due(&self, colour: u8) -> bool {
        // Relaxed: see the type.
        let is_due = self.0.load(Ordering::Relaxed) != colour;
        if is_due {
            self.0.store(colour, Ordering::Relaxed);
        }
        is_due
    }

    /// What who has just got the lock owes the collector, before the first change.
    #[inline(always)]
    fn before_change<T: Trace>(&self, mu: &Mutator<'_>, contents: &T) {
        if T::NEEDS_TRACE && mu.mode() != Mode::Off && !reordered!("lock.shade") {
            self.shade_before_change(mu, contents);
        }
    }

    #[cold]
    fn shade_before_change<T: Trace>(&self, mu: &Mutator<'_>, contents: &T) {
        if mu.mode() == Mode::Arm || self.is_due(mu.local().colour()) {
            mu.local().shade_contents(mu.core(), contents);
        }
    }

    /// Traces the contents, for who has the lock and a tracer: a marker, a barrier that traces contents around these, or the
    /// verifier.
    fn trace<T: Trace>(&self, tracer: &mut Tracer<'_>, contents: &T) {
        let is_due = match tracer.lock_memory() {
            LockMemory::Remembers => self.is_due(tracer.black()),
            LockMemory::Forgets => {
                // Relaxed: see the type.
                self.0.store(0, Ordering::Relaxed);
                true
            }
            LockMemory::Keeps => true,
        };
        if is_due {
            contents.trace(tracer);
        }
    }
}

/// What who is about to give the lock back, or to write a value, owes the collector.
#[inline(always)]
fn after_change<T: Trace>(mu: &Mutator<'_>, contents: &T) {
    if T::NEEDS_TRACE && (mu.mode() == Mode::Arm || (reordered!("lock.shade") && mu.mode() != Mode::Off)) {
        mu.local().shade_contents(mu.core(), contents);
    }
}

/// A lock that is in hand as a whole is taken: whoever took it has forgotten the guard.
#[cold]
#[track_caller]
fn guard_was_forgotten() -> ! {
    panic!(
        "linchpin: the contents of a lock were asked for past the lock, which is held for ever: a guard of it was forgotten \
         (mem::forget), and since then the collector does not keep what the contents lead to; let guards be dropped"
    )
}
