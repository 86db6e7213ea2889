//! How many may mark at the moment.
//!
//! Beside the markers that take part in every mark, idle helpers do while there are processors on which no mutation runs, as Go marks on
//! its idle Ps. Who marks counts as a processor in use, so a heap that is used by as many mutations as may run has no idle
//! marker; nor has one that runs on fewer cores than that.

use super::workers::Workers;
use crate::processor::acquire::Processors;
use crate::processor::phase::Status;
use crate::sync::thread;

/// Tells whether there is room for one more marker, and calls it.
pub(crate) struct Room<'a> {
    processors: &'a Processors,
    workers: &'a Workers,
}

impl<'a> Room<'a> {
    pub(crate) fn new(processors: &'a Processors, workers: &'a Workers) -> Self {
        Self { processors, workers }
    }

    /// Has an idle helper take part, if there is one, and room for it beside so many markers.
    #[inline]
    pub(crate) fn call(&self, markers: usize) {
        if self.workers.has_idle() && self.in_use() + markers < self.processors.limit() {
            self.workers.call_idle();
        }
    }

    /// Whether so many markers are more than there is room for.
    pub(crate) fn is_exceeded(&self, markers: usize) -> bool {
        self.in_use() + markers > self.processors.limit()
    }

    /// Processors on which a mutation runs.
    fn in_use(&self) -> usize {
        self.processors.all().filter(|processor| processor.state().status() == Status::Running).count()
    }
}

/// How many idle helpers a heap may have beside so many markers: in all as many as there are cores.
pub(crate) fn most_idle_helpers(markers: usize) -> usize {
    thread::available_parallelism().map_or(0, |cores| cores.get().saturating_sub(markers))
}
