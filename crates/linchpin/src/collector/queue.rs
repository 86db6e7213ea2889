//! The grey objects that nobody traces at the moment: batches from barrier buffers, and what markers share.

use std::ptr::NonNull;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Injector, Ordering, Steal, ordering};

/// A grey object: marked, and still to be traced. Or a part of one: the start of a unit of its span that is not the first stands
/// for the elements that begin in that unit.
#[derive(Clone, Copy)]
pub(crate) struct Grey(pub(crate) NonNull<u8>);

// SAFETY: heap objects and parts of them are `Send + Sync`, and tracing one only reads it.
unsafe impl Send for Grey {}

/// The queue of batches.
pub(crate) struct GreyQueue {
    batches: Injector<Vec<Grey>>,
    /// Batches pushed since the heap was made; what a closing round compares.
    pushed: AtomicU64,
    /// Since this was last asked, a marker has passed by a lock that a mutation had, which is shading what is behind it.
    passed_by: AtomicBool,
    /// How many who are no markers wait for a batch at the moment.
    wanted: AtomicUsize,
}

/// As long as it lives, markers share what they have with whoever has it; see [`GreyQueue::want`].
pub(crate) struct Wanted<'a>(&'a AtomicUsize);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        // Relaxed: as in `want`.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl GreyQueue {
    pub(crate) fn new() -> Self {
        Self {
            batches: Injector::new(),
            pushed: AtomicU64::new(0),
            passed_by: AtomicBool::new(false),
            wanted: AtomicUsize::new(0),
        }
    }

    /// Adds a batch; an empty one is nothing.
    pub(crate) fn push(&self, batch: Vec<Grey>) {
        if !batch.is_empty() {
            // Release: pairs with the acquire in `pushed`. Counted first, so that who finds the count unchanged
            // can only overlook batches that come later.
            self.pushed.fetch_add(1, ordering!(Release, "queue.push"));
            self.batches.push(batch);
        }
    }

    /// Counts as a batch, though there is nothing to trace: puts the end of the mark off.
    pub(crate) fn put_off(&self) {
        // Release: as in `push`.
        self.pushed.fetch_add(1, Ordering::Release);
    }

    /// Takes a batch.
    pub(crate) fn take(&self) -> Option<Vec<Grey>> {
        loop {
            match self.batches.steal() {
                Steal::Success(batch) => return Some(batch),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Whether no batch is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Tells the markers that somebody who is none of them wants a batch.
    #[allow(dead_code, reason = "for mutations that assist")]
    pub(crate) fn want(&self) -> Wanted<'_> {
        // Relaxed, wherever it is touched: a hint. Work that is shared with nobody, or not shared, is done all the same.
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Wanted(&self.wanted)
    }

    /// Whether somebody who is no marker wants a batch.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != 0
    }

    /// Notes that a marker, or a mutation that assists, has passed by a lock.
    #[cold]
    pub(crate) fn note_passed_by(&self) {
        // Relaxed: markers have ended when `take_passed_by` is asked, and are joined by way of locks; a mutation has answered
        // the handshake before that.
        self.passed_by.store(true, Ordering::Relaxed);
    }

    /// Whether a marker has passed by a lock since this was last asked.
    pub(crate) fn take_passed_by(&self) -> bool {
        self.passed_by.swap(false, Ordering::Relaxed)
    }

    /// Batches pushed so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(ordering!(Acquire, "queue.pushed"))
    }
}
