//! The grey objects that nobody traces at the moment: batches from barrier buffers, and what markers share.

use std::ptr::NonNull;

use crate::sync::{AtomicU64, Injector, Steal, ordering};

/// A grey object: marked, and still to be traced.
#[derive(Clone, Copy)]
pub(crate) struct Grey(pub(crate) NonNull<u8>);

// SAFETY: heap objects are `Send + Sync`, and tracing one only reads it.
unsafe impl Send for Grey {}

/// The queue of batches.
pub(crate) struct GreyQueue {
    batches: Injector<Vec<Grey>>,
    /// Batches pushed since the heap was made; what a closing round compares.
    pushed: AtomicU64,
}

impl GreyQueue {
    pub(crate) fn new() -> Self {
        Self { batches: Injector::new(), pushed: AtomicU64::new(0) }
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

    /// Batches pushed so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(ordering!(Acquire, "queue.pushed"))
    }
}
