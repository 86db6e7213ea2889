//! The grey objects that nobody traces at the moment: batches from barrier buffers, and what markers share.

use std::ptr::NonNull;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Injector, Mutex, Ordering, Steal, ordering};

/// A grey object: marked, and still to be traced; known by its start, or by that of the granule in which it starts. Or a part of a large slice: an address in it, at a multiple of a part's bytes,
/// stands for the elements that begin in that part.
#[derive(Clone, Copy)]
pub(crate) struct Grey(pub(crate) NonNull<u8>);

// SAFETY: heap objects and parts of them are `Send + Sync`, and tracing one only reads it.
unsafe impl Send for Grey {}

/// Room for so many objects is in a batch from the start.
pub(crate) const ROOM: usize = 1024;

/// So many batches are kept for the next cycle.
const MOST_SPARE: usize = 16;

/// The queue of batches.
pub(crate) struct GreyQueue {
    batches: Injector<Vec<Grey>>,
    /// Batches with room and nothing in it. The system's allocator is not to be asked in the midst of an assist or a barrier: it may have
    /// whoever asks wait while another thread, here the collector's, returns memory (measured: 1 ms).
    spare: Mutex<Vec<Vec<Grey>>>,
    /// Batches pushed since the heap was made; what a closing round compares.
    pushed: AtomicU64,
    /// Since this was last asked, a marker has passed by a lock that a mutation had, which is shading what is behind it.
    passed_by: AtomicBool,
    /// Mutations that assist at the moment.
    assisting: AtomicUsize,
    /// Mutations may assist: handshake 2 is through, and the mark has not ended.
    may_assist: AtomicBool,
}

impl GreyQueue {
    pub(crate) fn new() -> Self {
        Self {
            batches: Injector::new(),
            spare: Mutex::new(Vec::new()),
            pushed: AtomicU64::new(0),
            passed_by: AtomicBool::new(false),
            assisting: AtomicUsize::new(0),
            may_assist: AtomicBool::new(false),
        }
    }

    /// Adds a batch; an empty one is nothing.
    pub(crate) fn push(&self, batch: Vec<Grey>) {
        if !batch.is_empty() {
            // Release: pairs with the acquire in `pushed`. Counted first, so that who finds the count unchanged
            // can only overlook batches that come later.
            self.pushed.fetch_add(1, ordering!(Release, "queue.push"));
            self.batches.push(batch);
        } else {
            self.keep(batch);
        }
    }

    /// A batch with room and nothing in it.
    pub(crate) fn empty_batch(&self) -> Vec<Grey> {
        // Nothing that a model is about.
        if cfg!(loom) {
            return Vec::new();
        }
        let spare = self.spare.try_lock().and_then(|mut spare| spare.pop());
        spare.unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    /// Keeps the room of a batch for later.
    pub(crate) fn keep(&self, batch: Vec<Grey>) {
        debug_assert!(batch.is_empty(), "what is in it would be lost");
        let is_of_use = !cfg!(loom) && (ROOM..=8 * ROOM).contains(&batch.capacity());
        if is_of_use && let Some(mut spare) = self.spare.try_lock() {
            spare.push(batch);
        }
    }

    /// Gives back the room of most batches that are not in use. On the collector's thread.
    pub(crate) fn trim(&self) {
        let surplus = self.spare.try_lock().map(|mut spare| {
            let kept = spare.len().min(MOST_SPARE);
            spare.split_off(kept)
        });
        drop(surplus);
    }

    /// Counts as a batch, though there is nothing to trace: puts the end of the mark off.
    pub(crate) fn put_off(&self) {
        // Release: as in `push`.
        self.pushed.fetch_add(1, Ordering::Release);
    }

    /// How many batches are kept.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn spare_batches(&self) -> usize {
        self.spare.lock().len()
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

    /// Whether there is more than one batch.
    pub(crate) fn has_several(&self) -> bool {
        self.batches.len() > 1
    }

    /// Says whether mutations may assist. They may not while any is in `Arm`, which a tracer is not to meet.
    pub(crate) fn let_assist(&self, may: bool) {
        // Release: pairs with the acquire in `may_assist`, for what the collector has seen answered.
        self.may_assist.store(may, Ordering::Release);
    }

    /// Whether mutations in `Mark` may assist.
    pub(crate) fn may_assist(&self) -> bool {
        // Acquire: pairs with the release in `let_assist`, so that what mutations did in `Arm` is seen. (That it was set in the last
        // cycle, and is lowered, was seen with the phase.)
        self.may_assist.load(Ordering::Acquire)
    }

    /// Has `trace` trace a batch, if there is one, for a mutation that assists; counts as a batch, whatever is left.
    pub(crate) fn assist(&self, trace: impl FnOnce(Vec<Grey>) -> u64) -> Option<u64> {
        // Relaxed, wherever it is touched: a hint. What ends a mark is said at the head of `assist`.
        self.assisting.fetch_add(1, Ordering::Relaxed);
        let traced = self.take().map(trace);
        if traced.is_some() {
            self.put_off();
        }
        self.assisting.fetch_sub(1, Ordering::Relaxed);
        traced
    }

    /// Whether a mutation assists at the moment, which may come back with a batch.
    pub(crate) fn is_assisted(&self) -> bool {
        self.assisting.load(Ordering::Relaxed) != 0
    }

    /// Notes that a marker has passed by a lock.
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
