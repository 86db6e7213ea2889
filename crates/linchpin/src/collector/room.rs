//! How many may mark at the moment.
//!
//! Beside the markers that take part in every mark, idle helpers do while there are processors on which no mutation runs, as Go marks on
//! its idle Ps. Who marks counts as a processor in use, so a heap that is used by as many mutations as may run, or as there are cores,
//! has no idle marker.

use super::workers::Workers;
use crate::processor::acquire::Processors;
use crate::processor::phase::Status;
use crate::sync::{AtomicU32, Ordering, thread};

/// So often in a row there has to be room before an idle helper is called: between two mutations of a thread that does nothing else its
/// processor is idle, too, for an instant.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 4 };

/// Tells whether there is room for one more marker, and calls it.
pub(crate) struct Room<'a> {
    processors: &'a Processors,
    workers: &'a Workers,
    /// How often in a row there has been room.
    seen: AtomicU32,
}

impl<'a> Room<'a> {
    pub(crate) fn new(processors: &'a Processors, workers: &'a Workers) -> Self {
        Self { processors, workers, seen: AtomicU32::new(0) }
    }

    /// Has an idle helper take part, if there is one, and there was room for it beside so many markers the last times as well.
    #[inline]
    pub(crate) fn call(&self, markers: usize) {
        if !self.workers.has_idle() {
            return;
        }
        // Relaxed: only the collector's thread calls.
        let seen = match self.in_use() + markers < self.room() {
            true => self.seen.load(Ordering::Relaxed) + 1,
            false => 0,
        };
        self.seen.store(seen % LOOKS, Ordering::Relaxed);
        if seen == LOOKS {
            self.workers.call_idle();
        }
    }

    /// Whether so many markers are more than there is room for.
    pub(crate) fn is_exceeded(&self, markers: usize) -> bool {
        self.in_use() + markers > self.room()
    }

    /// How many may mark or mutate: as many as there are processors, and no more than there are cores.
    fn room(&self) -> usize {
        self.processors.limit().min(self.workers.most_markers())
    }

    /// Processors on which a mutation runs.
    fn in_use(&self) -> usize {
        self.processors.all().filter(|processor| processor.state().status() == Status::Running).count()
    }
}

/// How many idle helpers a heap may have beside so many markers: in all as many as there are cores.
pub(crate) fn most_idle_helpers(markers: usize) -> usize {
    most_idle_helpers_on(thread::available_parallelism().map_or(1, usize::from), markers)
}

pub(super) fn most_idle_helpers_on(cores: usize, markers: usize) -> usize {
    cores.saturating_sub(markers)
}
