//! Assists: a mutation that allocates faster than the markers mark traces a piece itself.
//!
//! How much is for the [pacer](super::pacer) to say; here is how. An assist takes a batch from the queue of grey objects, traces what it is told,
//! and puts back what is left. If there is none, it lets the markers know that one is wanted, and goes on: nobody waits.
//!
//! It has objects in hand that are grey and in no queue. That is sound because it takes them in `Mark` only: before the decision that
//! nothing is grey any more there is a closing round, which the processor answers after the assist, with what was left in
//! the queue by then; and a processor in `Close` has taken nothing since.

use std::time::Instant;

use super::mark::{Tracer, trace_some};
use crate::mutator::Mutator;
use crate::processor::phase::Mode;

/// Bytes that a mutation allocates before it looks whether to assist.
const LOOK_AFTER: u64 = 32 << 10;

impl Mutator<'_> {
    /// Assists, if that is due. To be called where a run is used up, before another one is looked for.
    #[inline]
    pub(crate) fn assist(&self) {
        if self.mode() == Mode::Mark {
            let bytes = self.local().unassisted_bytes();
            if bytes >= LOOK_AFTER {
                self.assist_for(bytes);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn assist_for(&self, bytes: u64) {
        let core = self.core();
        self.local().note_assisted();
        let budget = core.pace.assist_for(bytes);
        if budget == 0 {
            return;
        }
        let since = Instant::now();
        let traced = core.queue.assist(|batch| {
            let mut tracer = Tracer::new(&core.memory.region, self.local().colour());
            tracer.add_grey(batch);
            trace_some(&core.queue, &mut tracer, budget)
        });
        if let Some(traced) = traced {
            core.pace.assisted(traced);
            core.memory.longest_wait.note(since);
        }
    }
}
