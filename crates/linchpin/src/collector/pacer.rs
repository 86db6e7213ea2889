//! When a cycle starts: the growth rule.
//!
//! A cycle starts when as many bytes were allocated since the last mark ended as `growth_percent` of what was live when
//! that mark began, and at least four megabytes times that percentage (Go's GOGC). What was born during the mark is
//! black whether anything leads to it or not, so it does not count as live: most of it is garbage, and counting it would
//! let the heap grow on the strength of that. In a small region a cycle starts when half of what was free has been
//! allocated, if that is earlier.

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
    /// The value of `allocated` when the last mark began, and when it ended.
    mark_began: AtomicU64,
    mark_ended: AtomicU64,
}

impl Pace {
    pub(crate) fn new(growth_percent: u32, region_bytes: usize) -> Self {
        let pace = Self {
            growth_percent: u64::from(growth_percent),
            region_bytes: region_bytes as u64,
            allocated: AtomicU64::new(0),
            trigger: AtomicU64::new(0),
            live: AtomicU64::new(0),
            mark_began: AtomicU64::new(0),
            mark_ended: AtomicU64::new(0),
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

    /// A mark begins: no further cycle is asked for until `end_sweep`.
    pub(crate) fn begin_mark(&self) {
        self.trigger.store(u64::MAX, Ordering::Relaxed);
        self.mark_began.store(self.allocated.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A mark has ended.
    pub(crate) fn end_mark(&self) {
        self.mark_ended.store(self.allocated.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A sweep has ended, which found `live` bytes marked. True if the next cycle should start at once.
    pub(crate) fn end_sweep(&self, live: usize) -> bool {
        let live = live as u64;
        self.live.store(live, Ordering::Relaxed);
        let ended = self.mark_ended.load(Ordering::Relaxed);
        let born = ended - self.mark_began.load(Ordering::Relaxed);
        self.trigger.store(ended + self.growth(live.saturating_sub(born)), Ordering::Relaxed);
        self.allocated(0)
    }

    /// Bytes found live by the last sweep.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Pace;

    #[test]
    fn a_cycle_starts_when_the_live_heap_has_grown_by_the_target() {
        let pace = Pace::new(50, 1 << 40);
        assert!(!pace.allocated((2 << 20) - 1));
        assert!(pace.allocated(1), "two megabytes are half of the minimum of four");
        pace.begin_mark();
        assert!(!pace.allocated(0), "a cycle runs already");
        pace.end_mark();
        assert!(!pace.allocated(100 << 20), "not while the sweep runs");
        assert!(pace.end_sweep(40 << 20), "100 MB came since, 20 MB are allowed");
        pace.begin_mark();
        pace.end_mark();
        assert!(!pace.end_sweep(40 << 20));
        assert!(!pace.allocated((20 << 20) - 1));
        assert!(pace.allocated(1));
        assert_eq!(pace.live(), 40 << 20);
    }

    #[test]
    fn what_is_born_during_a_mark_does_not_count_as_live() {
        let pace = Pace::new(100, 1 << 40);
        pace.begin_mark();
        pace.allocated(30 << 20);
        pace.end_mark();
        assert!(!pace.end_sweep(40 << 20));
        assert!(!pace.allocated((10 << 20) - 1));
        assert!(pace.allocated(1), "10 of the 40 MB were live when the mark began");
    }

    #[test]
    fn a_small_region_is_collected_when_half_of_it_is_used() {
        let pace = Pace::new(100, 1 << 20);
        assert!(!pace.allocated((512 << 10) - 1));
        assert!(pace.allocated(1));
    }
}
