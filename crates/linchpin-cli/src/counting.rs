//! The program's allocator: the system's, with counts of what was asked of it.
//!
//! The benchmarks report malloc traffic beside heap traffic, so counting must not be felt in what
//! they time. Each thread counts in a cache line of its own with plain loads and stores; a locked
//! instruction would cost as much as the operations that are measured here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many threads of the process get a counter that only they write.
const EXCLUSIVE: usize = 1024;

/// How many counters the threads after those share.
const SHARED: usize = 64;

/// The number of a thread that has not allocated yet.
const UNNUMBERED: usize = usize::MAX;

/// Counts of one thread, or of the several that share a slot; a cache line each.
#[repr(align(64))]
struct Slot {
    allocations: AtomicU64,
    bytes: AtomicU64,
}

static SLOTS: [Slot; EXCLUSIVE + SHARED] =
    [const { Slot { allocations: AtomicU64::new(0), bytes: AtomicU64::new(0) } }; EXCLUSIVE + SHARED];

/// How many threads have been given a number.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Constant and without a destructor: reading it neither allocates nor fails while a thread ends.
    static NUMBER: Cell<usize> = const { Cell::new(UNNUMBERED) };
}

/// The system allocator, counting allocations and bytes. A reallocation counts as an allocation of
/// its new size; what is freed is not counted, as in Go's benchmarks.
pub(crate) struct CountingAllocator;

/// How many allocations and bytes all threads of the process have asked for so far. Exact for the
/// calling thread and for those that it has joined.
pub(crate) fn counts() -> (u64, u64) {
    let threads = THREADS.load(Ordering::Relaxed);
    let (own, shared) = SLOTS.split_at(EXCLUSIVE);
    let used = own.iter().take(threads).chain(shared);
    used.fold((0, 0), |(allocations, bytes), slot| {
        (allocations + slot.allocations.load(Ordering::Relaxed), bytes + slot.bytes.load(Ordering::Relaxed))
    })
}

#[inline]
fn record(size: usize) {
    let mut number = NUMBER.get();
    if number == UNNUMBERED {
        number = give_number();
    }
    if let Some(slot) = SLOTS[..EXCLUSIVE].get(number) {
        // Only this thread writes the slot, so nothing is lost between the load and the store.
        slot.allocations.store(slot.allocations.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        slot.bytes.store(slot.bytes.load(Ordering::Relaxed) + size as u64, Ordering::Relaxed);
    } else {
        let slot = &SLOTS[EXCLUSIVE + number % SHARED];
        slot.allocations.fetch_add(1, Ordering::Relaxed);
        slot.bytes.fetch_add(size as u64, Ordering::Relaxed);
    }
}

#[cold]
fn give_number() -> usize {
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    NUMBER.set(number);
    number
}

// SAFETY: every method passes its arguments to `System` unchanged and returns what it returns;
// counting touches statics and a thread-local without a destructor, and never allocates.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size());
        // SAFETY: the caller keeps this method's contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size());
        // SAFETY: the caller keeps this method's contract, which is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        record(new_size);
        // SAFETY: `block` came from `System` by one of these methods; the rest is the caller's part.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` by one of these methods; the rest is the caller's part.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn allocations_of_this_and_of_joined_threads_are_counted() {
        let (allocations, bytes) = counts();
        let block = std::hint::black_box(vec![1u8; 12_345]);
        std::thread::spawn(|| drop(std::hint::black_box(vec![1u8; 54_321]))).join().unwrap();
        let (allocations_after, bytes_after) = counts();
        assert!(allocations_after >= allocations + 2);
        assert!(bytes_after >= bytes + 12_345 + 54_321);
        drop(block);
    }
}
