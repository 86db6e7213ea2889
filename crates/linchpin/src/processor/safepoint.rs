//! Safepoints: where a mutation answers a handshake before it ends.
//!
//! A mutation looks for a handshake in the slow path of allocation, and answers it there, if it may. So a long mutation that allocates
//! keeps a cycle waiting once, where it would keep it waiting four times: the heap grows the less meanwhile. Why it may, by handshake:
//!
//! * *Into `Arm`*: what it has in hand may have been unlinked in `Off`, without a word; which holds for a mutation that *begins* in
//!   `Arm`, too, as others are still in `Off`. So `Arm` takes care of it: what is stored, rooted or pinned from now on is shaded.
//!   A lock it has is looked behind when it is given back. What it allocates is white, in `Off` and in `Arm`, and
//!   becomes reachable by one of these.
//! * *Into `Mark`*: it may not. In `Mark` nothing that is stored is shaded, and it may have in hand what nothing leads to. The end
//!   of all mutations that began before the snapshot is what this handshake is for.
//! * *Into `Close`, and further closing rounds*: what is asked for is the barrier buffer. The barrier stays what it is.
//! * *Into `Off`*: it began in `Mark` or later, so all that it has in hand is black, or was born so. Its runs and its cached inner pinner
//!   can go: it is in the midst of no allocation.
//!
//! The model has these steps (`linchpin-model`), and finds a counterexample for handshake 2 (`MarkAnsweredInsideMutation`).
//!
//! **Not everywhere.** Where a mode is asked for and something is done accordingly, there is no safepoint between the two, as
//! nothing is allocated there. Where the program's code runs in the midst of an allocation (the elements of a slice are made, a finding
//! is told of), it may allocate, and the object around it is not whole, or the run is in nobody's table: then the processor is *busy*,
//! and there is none either.

use std::mem::ManuallyDrop;
use std::time::Instant;

use super::phase::{Mode, Phase};
use super::{Holding, Local};
use crate::collector::relay::take_steps;
use crate::mutator::Mutator;
use crate::sync::Cell;

/// A mutation answers no more handshakes than this at a time, if it goes on. (Who takes the steps asks for the next: three, and more if a round brings something.)
pub(super) const MOST_ANSWERS: usize = 4;

impl Mutator<'_> {
    /// Answers a handshake, if there is one that may be answered inside a mutation.
    #[inline]
    pub(crate) fn safepoint(&self) {
        if self.core().processors.has_moved_on(self.local().phase()) {
            self.answer_inside();
        }
    }

    #[cold]
    #[inline(never)]
    fn answer_inside(&self) {
        let core = self.core();
        // What the cycle does next may be to ask again; of rounds there may be many.
        for _ in 0..MOST_ANSWERS {
            let phase = core.processors.phase();
            if phase == self.local().phase() || !self.local().may_answer_inside(phase) {
                break;
            }
            // SAFETY: the mutation holds the processor, and goes on to hold it: the evidence is not dropped.
            let holding = ManuallyDrop::new(unsafe { Holding::of(self.processor()) });
            let since = Instant::now();
            holding.answer_running(core, phase);
            core.memory.longest_wait.note(since);
            // That may have been the last answer.
            take_steps(core, 0);
        }
    }
}

impl Local {
    fn may_answer_inside(&self, phase: Phase) -> bool {
        let allowed = matches!(
            (self.mode(), phase.mode()),
            (Mode::Off, Mode::Off | Mode::Arm) | (Mode::Mark | Mode::Close, Mode::Close | Mode::Off)
        );
        allowed && self.busy.get() == 0
    }

    /// Sees to it that no handshake is answered for as long as the guard is there.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.busy.set(self.busy.get() + 1);
        Busy(&self.busy)
    }
}

/// See [`Local::busy`].
#[must_use]
pub(crate) struct Busy<'a>(&'a Cell<u32>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
