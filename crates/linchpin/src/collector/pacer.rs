//! When a cycle starts: the growth rule.
//!
//! A cycle starts when as many bytes were allocated since the last mark ended as `growth_percent` of what was live when
//! that mark began, and at least four megabytes times that percentage (Go's GOGC). What was born during the mark is
//! black whether anything leads to it or not, so it does not count as live: most of it is garbage, and counting it would
//! let the heap grow on the strength of that. In a small region a cycle starts when half of what was free has been
//! allocated, if that is earlier.
//!
//! Memory outside the heap counts as well: what objects own (a `Vec`'s elements), and what a program reports. Both count as allocated.
//! What objects own counts as live too, for as long as they are: it is known when they are allocated and when they are dropped, and does
//! not change in between. What a program reports does not, as nobody says when it is freed: it is forgotten when the next mark ends. None
//! of it takes room in the region.

use crate::sync::{AtomicU64, Ordering};

/// The live heap below which growth is reckoned from this size, in bytes.
const MIN_LIVE: u64 = 4 << 20;

/// More bytes outside the heap than this cannot be: who says so is not to stop the count for good.
const MAX_OUTSIDE: u64 = 1 << 47;

/// Decides when a cycle starts.
pub(crate) struct Pace {
    growth_percent: u64,
    region_bytes: u64,
    /// Bytes allocated since the heap was made.
    allocated: AtomicU64,
    /// Bytes outside the heap that objects own and that were reported, since the heap was made.
    outside: AtomicU64,
    /// Of these, what objects own, or did.
    owned: AtomicU64,
    /// The value of `allocated` and `outside` together at which the next cycle starts.
    trigger: AtomicU64,
    /// The value of `allocated` at which it starts, for want of room.
    room_trigger: AtomicU64,
    /// Bytes found live by the last sweep.
    live: AtomicU64,
    /// Bytes that objects owned outside the heap which were there at the last snapshot, and which that mark found live.
    live_outside: AtomicU64,
    /// The value of `allocated` when the last mark began, and when it ended.
    mark_began: AtomicU64,
    mark_ended: AtomicU64,
    /// The value of `outside` when the last mark ended, and of `owned` at its snapshot.
    outside_at_end: AtomicU64,
    owned_at_snapshot: AtomicU64,
}

impl Pace {
    pub(crate) fn new(growth_percent: u32, region_bytes: usize) -> Self {
        let pace = Self {
            growth_percent: u64::from(growth_percent),
            region_bytes: region_bytes as u64,
            allocated: AtomicU64::new(0),
            outside: AtomicU64::new(0),
            owned: AtomicU64::new(0),
            trigger: AtomicU64::new(0),
            room_trigger: AtomicU64::new(0),
            live: AtomicU64::new(0),
            live_outside: AtomicU64::new(0),
            mark_began: AtomicU64::new(0),
            mark_ended: AtomicU64::new(0),
            outside_at_end: AtomicU64::new(0),
            owned_at_snapshot: AtomicU64::new(0),
        };
        pace.trigger.store(pace.growth(0), Ordering::Relaxed);
        pace.room_trigger.store(pace.room(0), Ordering::Relaxed);
        pace
    }

    /// How many bytes may be allocated until the next cycle, with so many live, in the heap and outside.
    fn growth(&self, live: u64) -> u64 {
        live.max(MIN_LIVE).saturating_mul(self.growth_percent) / 100
    }

    /// How many bytes of the region may be allocated until the next cycle, with so many live in it.
    fn room(&self, live: u64) -> u64 {
        (self.region_bytes.saturating_sub(live) / 2).max(1)
    }

    /// Counts allocated bytes; true if a cycle should start.
    pub(crate) fn allocated(&self, bytes: u64) -> bool {
        // Relaxed: figures, which order nothing.
        let allocated = self.allocated.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = allocated.saturating_add(self.outside.load(Ordering::Relaxed));
        all >= self.trigger.load(Ordering::Relaxed) || allocated >= self.room_trigger.load(Ordering::Relaxed)
    }

    /// Counts bytes outside the heap: what new objects own, and what was reported besides.
    pub(crate) fn allocated_outside(&self, owned: u64, reported: u64) {
        let (owned, reported) = (owned.min(MAX_OUTSIDE), reported.min(MAX_OUTSIDE));
        self.owned.fetch_add(owned, Ordering::Relaxed);
        self.outside.fetch_add(owned + reported, Ordering::Relaxed);
    }

    /// A mark begins: no further cycle is asked for until `end_sweep`.
    pub(crate) fn begin_mark(&self) {
        self.trigger.store(u64::MAX, Ordering::Relaxed);
        self.room_trigger.store(u64::MAX, Ordering::Relaxed);
        self.mark_began.store(self.allocated.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// All that is born from now on survives the cycle: handshake 1 is through. What objects own now, less what this cycle and those
    /// before it drop, is what lives of it.
    pub(crate) fn note_owned(&self) {
        self.owned_at_snapshot.store(self.owned.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A mark has ended.
    pub(crate) fn end_mark(&self) {
        self.mark_ended.store(self.allocated.load(Ordering::Relaxed), Ordering::Relaxed);
        self.outside_at_end.store(self.outside.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A sweep has ended, which found `live` bytes marked. What was dropped since the heap was made had owned `disowned` bytes outside.
    /// True if the next cycle should start at once.
    pub(crate) fn end_sweep(&self, live: usize, disowned: u64) -> bool {
        let live = live as u64;
        self.live.store(live, Ordering::Relaxed);
        let ended = self.mark_ended.load(Ordering::Relaxed);
        let born = ended - self.mark_began.load(Ordering::Relaxed);
        let old = live.saturating_sub(born);
        // All that was dropped had been allocated before the snapshot. (Saturating: a processor tells of it a little later, and a
        // `Trace` by hand may contradict itself.)
        let old_outside = self.owned_at_snapshot.load(Ordering::Relaxed).saturating_sub(disowned);
        self.live_outside.store(old_outside, Ordering::Relaxed);
        let all = ended.saturating_add(self.outside_at_end.load(Ordering::Relaxed));
        let growth = self.growth(old.saturating_add(old_outside));
        self.trigger.store(all.saturating_add(growth), Ordering::Relaxed);
        self.room_trigger.store(ended + self.room(old), Ordering::Relaxed);
        self.allocated(0)
    }

    /// Bytes found live by the last sweep.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Bytes outside the heap that what the last mark found live has owned since before its snapshot.
    pub(crate) fn live_outside(&self) -> u64 {
        self.live_outside.load(Ordering::Relaxed)
    }

    /// Bytes outside the heap since it was made.
    pub(crate) fn outside(&self) -> u64 {
        self.outside.load(Ordering::Relaxed)
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
        assert!(pace.end_sweep(40 << 20, 0), "100 MB came since, 20 MB are allowed");
        pace.begin_mark();
        pace.end_mark();
        assert!(!pace.end_sweep(40 << 20, 0));
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
        assert!(!pace.end_sweep(40 << 20, 0));
        assert!(!pace.allocated((10 << 20) - 1));
        assert!(pace.allocated(1), "10 of the 40 MB were live when the mark began");
    }

    #[test]
    fn a_small_region_is_collected_when_half_of_it_is_used() {
        let pace = Pace::new(100, 1 << 20);
        assert!(!pace.allocated((512 << 10) - 1));
        assert!(pace.allocated(1));
    }

    #[test]
    fn what_objects_own_outside_counts_as_live_and_what_is_reported_does_not() {
        let pace = Pace::new(100, 1 << 20);
        pace.allocated_outside(3 << 20, (1 << 20) - 1);
        assert!(!pace.allocated(0));
        assert!(pace.allocated(1), "four megabytes, in whatever memory");
        pace.begin_mark();
        pace.note_owned();
        pace.allocated_outside(1 << 20, 1 << 20);
        pace.end_mark();
        pace.allocated_outside(0, 1 << 20);
        // 100 MB are owned when the next mark begins, 80 of them by what lives.
        pace.allocated_outside(96 << 20, 0);
        pace.end_sweep(0, 0);
        pace.begin_mark();
        // A mutation that has not answered yet, whose object dies in this cycle.
        pace.allocated_outside(5 << 20, 0);
        pace.note_owned();
        pace.end_mark();
        assert!(!pace.end_sweep(0, 25 << 20));
        assert_eq!(pace.live_outside(), 80 << 20);
        pace.allocated_outside(79 << 20, (1 << 20) - 1);
        assert!(!pace.allocated(0), "though it be more than the region holds");
        pace.allocated_outside(0, 1);
        assert!(pace.allocated(0));
    }

    #[test]
    fn nonsense_is_survived() {
        let pace = Pace::new(u32::MAX, 1 << 20);
        pace.allocated_outside(u64::MAX, u64::MAX);
        assert!(pace.allocated(1));
        pace.begin_mark();
        pace.note_owned();
        pace.end_mark();
        assert!(!pace.end_sweep(1 << 20, 0));
        pace.begin_mark();
        pace.note_owned();
        pace.end_mark();
        pace.end_sweep(1 << 20, u64::MAX);
        assert_eq!(pace.live_outside(), 0);
    }
}
