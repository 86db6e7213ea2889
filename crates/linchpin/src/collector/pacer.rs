//! When a cycle starts: the growth rule.
//!
//! A cycle starts when as many bytes were allocated since the last mark ended as `growth_percent` of what then
//! lived, and at least four megabytes times that percentage (Go's rule, GOGC). In a small region it starts
//! when half of it has been allocated, if that is earlier.

use crate::sync::{AtomicU64, Ordering};

/// The live heap below which growth is reckoned from this size, in bytes.
const MIN_LIVE: u64 = 4 << 20;

/// Decides when a cycle starts.
pub(crate) struct Pace {
    growth_percent: u64,
    region_bytes: u64,
    /// Bytes allocated since the heap was made.
    allocated: AtomicU64,
    /// The value of `allocated` at which the next cycle starts.
    trigger: AtomicU64,
    /// Bytes found live by the last sweep.
    live: AtomicU64,
}

impl Pace {
    pub(crate) fn new(growth_percent: u32, region_bytes: usize) -> Self {
        let pace = Self {
            growth_percent: u64::from(growth_percent),
            region_bytes: region_bytes as u64,
            allocated: AtomicU64::new(0),
            trigger: AtomicU64::new(0),
            live: AtomicU64::new(0),
        };
        pace.trigger.store(pace.growth(0), Ordering::Relaxed);
        pace
    }

    /// How many bytes may be allocated until the next cycle, with so many live.
    fn growth(&self, live: u64) -> u64 {
        let wanted = live.max(MIN_LIVE) * self.growth_percent / 100;
        wanted.min((self.region_bytes.saturating_sub(live) / 2).max(1))
    }

    /// Counts allocated bytes; true if a cycle should start.
    pub(crate) fn allocated(&self, bytes: u64) -> bool {
        // Relaxed: figures, which order nothing.
        let allocated = self.allocated.fetch_add(bytes, Ordering::Relaxed) + bytes;
        allocated >= self.trigger.load(Ordering::Relaxed)
    }

    /// A mark has ended: no further cycle is asked for until `set_live`. Returns the bytes allocated so far.
    pub(crate) fn end_mark(&self) -> u64 {
        self.trigger.store(u64::MAX, Ordering::Relaxed);
        self.allocated.load(Ordering::Relaxed)
    }

    /// A sweep has ended: `live` bytes lived when the mark did, `allocated_then` had been allocated. True if the
    /// next cycle should start at once.
    pub(crate) fn set_live(&self, live: usize, allocated_then: u64) -> bool {
        let live = live as u64;
        self.live.store(live, Ordering::Relaxed);
        self.trigger.store(allocated_then + self.growth(live), Ordering::Relaxed);
        self.allocated(0)
    }

    /// Bytes found live by the last sweep.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn a_cycle_starts_when_the_live_heap_has_grown_by_the_target() {
        let pace = Pace::new(50, 1 << 40);
        assert!(!pace.allocated((2 << 20) - 1));
        assert!(pace.allocated(1), "two megabytes are half of the minimum of four");
        let then = pace.end_mark();
        assert!(!pace.allocated(100 << 20), "not while the cycle ends");
        assert!(pace.set_live(40 << 20, then), "100 MB came since, 20 MB are allowed");
        let then = pace.end_mark();
        assert!(!pace.set_live(40 << 20, then));
        assert!(!pace.allocated((20 << 20) - 1));
        assert!(pace.allocated(1));
        assert_eq!(pace.live(), 40 << 20);
    }

    #[test]
    fn a_small_region_is_collected_when_half_of_it_is_used() {
        let pace = Pace::new(100, 1 << 20);
        assert!(!pace.allocated((512 << 10) - 1));
        assert!(pace.allocated(1));
    }
}
