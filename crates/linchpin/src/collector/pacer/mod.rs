//! When a cycle starts, by when it is to have ended, and what mutations do for that.
//!
//! **The goal.** A mark is to have ended when as many bytes were allocated since the last one ended as `growth_percent` of what was live
//! when that one began, and at least four megabytes times that percentage (Go's GOGC). What was born during the mark is
//! black whether anything leads to it or not, so it does not count as live: most of it is garbage, and counting it would
//! let the heap grow on the strength of that. But where mutations trace most of a mark, as steps of a small cycle, it is short, and what is born in it does
//! count, as in Go, as far as it is no more than was traced. What is born (in the heap) in `Mark` on one processor while another one keeps handshake 2
//! waiting never does. A memory limit (Go's GOMEMLIMIT) brings the goal nearer.
//!
//! **The start.** A mark takes a while, in which mutations allocate: the *runway*. So a cycle starts that much before the goal, but not
//! before half the way to it is behind: what is left is a matter of assists. Where mutations themselves have traced most of the last mark, how long it took is what this pacer has
//! had them take; for them it is enough to start as many bytes before the goal as are allocated until the snapshot, and as there are to be traced. Where they have traced most of it as steps of a small
//! cycle, which they do as fast as may be, the snapshot is to be at the goal (but where there is a memory limit). As late as the last ones it is expected to be, by
//! and by less: one that waits for a long mutation is mostly followed by more of them. In a small region a cycle starts when half of what was
//! free has been allocated, if that is earlier.
//!
//! **Assists.** While the mark runs, each byte allocated is worth so many bytes traced that the mark, as long as the last one was, is
//! through at the goal. Markers earn this as they trace; a mutation that finds nothing earned traces itself, a bounded piece at a
//! time, where its processor takes its next run. So who allocates faster than the markers mark pays for it, and nobody else.
//!
//! **The limit is soft.** A heap in which more lives than the limit allows would do nothing but mark. So between two cycles at least as much is
//! allocated as was during the last one: then marking takes about half the time, and no more, however far the limit is exceeded. (Go
//! has the same guard, by processor time.)
//!
//! Memory outside the heap counts as well: what objects own (a `Vec`'s elements), and what a program reports. Both count as allocated.
//! What objects own counts as live too, for as long as they are: it is known when they are allocated and when they are dropped, and does
//! not change in between. What a program reports does not, as nobody says when it is freed: it is forgotten when the next mark ends. None
//! of it takes room in the region.

#[cfg(all(test, not(loom)))]
mod tests;

use std::time::Duration;

use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering};

/// The live heap below which growth is reckoned from this size, in bytes.
const MIN_LIVE: u64 = 4 << 20;

/// More bytes outside the heap than this cannot be: who says so is not to stop the count for good.
const MAX_OUTSIDE: u64 = 1 << 47;

/// Nor can this be the sum of them, which so stays below what a trigger is while a cycle runs.
const MOST_OUTSIDE: u64 = 1 << 62;

/// However near the limit is, so many bytes may be allocated between two cycles.
const MIN_GROWTH: u64 = 256 << 10;

/// A mark is small if no more bytes than this are expected to be traced, and were so far: mutations may trace it as steps of the cycle. (With
/// 96 MiB the tails of a churn grow longer, whose first cycles are small then.)
pub(super) const MOST_TRACED: u64 = 48 << 20;

/// One of more than this is not over in an instant: mutations are to look more often whether to trace.
const SHORTLY_TRACED: u64 = 4 << 20;

/// Where mutations trace more than this as steps of the cycle, nearly as much would be born meanwhile if their runs were whole spans.
pub(super) const MUCH_TRACED: u64 = 12 << 20;

const _: () = assert!(MUCH_TRACED < MOST_TRACED, "of a cycle that is small");

/// An assist traces no more than so many bytes at a time: some dozen microseconds.
const MOST_ASSISTED: u64 = 64 << 10;

/// A mutation traces no more than so many bytes for each that it allocates.
const STEEPEST: u64 = 4;

/// The same where it takes the steps of a small cycle, which is to end soon; and at a time, even if they are at hand.
const STEEPEST_RELAYED: u64 = 8;
const MOST_RELAYED: u64 = 256 << 10;

/// The same where it traces the mark of a cycle that is not small: for each byte that it allocates, and at a time, a few microseconds.
const STEEPEST_SHORT: u64 = 12;
const MOST_SHORT: u64 = 24 << 10;

/// Mutations allocate slowly if they allocate no more bytes than this in a microsecond, all together.
const CALM_PER_MICROSECOND: u64 = 1 << 10;

/// And while a mark runs, so many more.
const CALM_AT_ONCE: u64 = 1 << 20;

/// Decides when a cycle starts.
///
/// Everything is relaxed: figures, which order nothing. Where they have to be exact, the handshakes and the collector's lock have
/// ordered them.
pub(crate) struct Pace {
    growth_percent: AtomicU32,
    /// `u64::MAX` if there is none.
    memory_limit: AtomicU64,
    region_bytes: u64,
    /// Bytes allocated since the heap was made.
    allocated: AtomicU64,
    /// Bytes outside the heap that objects own and that were reported, since the heap was made.
    outside: AtomicU64,
    /// Of these, what objects own, or did.
    owned: AtomicU64,
    /// The value of `allocated` and `outside` together at which the next cycle starts; `u64::MAX` while one runs.
    trigger: AtomicU64,
    /// The value of `allocated` at which it starts, for want of room.
    room_trigger: AtomicU64,
    /// The value of `allocated` and `outside` together by which its mark is to have ended.
    goal: AtomicU64,
    /// The value of both together from which on the collector's thread is late.
    overdue: AtomicU64,
    /// Bytes found live by the last sweep.
    live: AtomicU64,
    /// Bytes that objects owned outside the heap which were there at the last snapshot, and which that mark found live.
    live_outside: AtomicU64,
    /// The value of `allocated` when marking began the last time: all that is born from then on is black.
    mark_began: AtomicU64,
    /// Bytes that were born black before that.
    born_early: AtomicU64,
    /// The value of `owned` when marking began.
    owned_when_it_began: AtomicU64,
    /// Bytes that the mark is expected to trace, and has traced; those that no mutation was spared for yet.
    expected: AtomicU64,
    traced: AtomicU64,
    earned: AtomicU64,
    /// Bytes that mutations have traced since the heap was made, and those of them that they have as steps of small cycles.
    assists: AtomicU64,
    relayed: AtomicU64,
    last: Mutex<LastMark>,
}

/// What the last cycle has left, from which the goal of the next one follows.
#[derive(Default)]
struct LastMark {
    /// The values of `allocated`, and of that and `outside` together, when the last mark ended.
    ended: u64,
    ended_with_outside: u64,
    /// Bytes that were live when it began, in the heap and outside.
    old: u64,
    old_outside: u64,
    /// What was born in it and counts as live nevertheless, in bytes.
    born: u64,
    /// Bytes of spans in use when it was swept.
    span_bytes: u64,
    /// The value of `allocated` and `outside` together when it began.
    began: u64,
    /// What mutations had traced before it began, ever.
    assists: u64,
    relayed: u64,
    /// Bytes that are expected to be allocated during a mark, and of these until its snapshot.
    runway: u64,
    snapshot: u64,
    /// Bytes before the goal at which a mark is to begin.
    lead: u64,
}

impl LastMark {
    /// What counts as live for the goal.
    fn live(&self) -> u64 {
        self.old.saturating_add(self.old_outside).saturating_add(self.born)
    }
}

impl Pace {
    pub(crate) fn new(growth_percent: u32, memory_limit: Option<usize>, region_bytes: usize) -> Self {
        let pace = Self {
            growth_percent: AtomicU32::new(growth_percent),
            memory_limit: AtomicU64::new(limit_to_bits(memory_limit)),
            region_bytes: region_bytes as u64,
            allocated: AtomicU64::new(0),
            outside: AtomicU64::new(0),
            owned: AtomicU64::new(0),
            trigger: AtomicU64::new(0),
            room_trigger: AtomicU64::new(0),
            goal: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            live: AtomicU64::new(0),
            live_outside: AtomicU64::new(0),
            mark_began: AtomicU64::new(0),
            born_early: AtomicU64::new(0),
            owned_when_it_began: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            traced: AtomicU64::new(0),
            earned: AtomicU64::new(0),
            assists: AtomicU64::new(0),
            relayed: AtomicU64::new(0),
            last: Mutex::new(LastMark::default()),
        };
        pace.aim(&pace.last.lock());
        pace
    }

    pub(crate) fn growth_percent(&self) -> u32 {
        self.growth_percent.load(Ordering::Relaxed)
    }

    pub(crate) fn memory_limit(&self) -> Option<usize> {
        usize::try_from(self.memory_limit.load(Ordering::Relaxed)).ok().filter(|&limit| limit != usize::MAX)
    }

    /// Changes the growth target; holds from now on.
    pub(crate) fn set_growth_percent(&self, percent: u32) {
        self.growth_percent.store(percent, Ordering::Relaxed);
        self.aim_again();
    }

    /// Changes the memory limit; holds from now on.
    pub(crate) fn set_memory_limit(&self, limit: Option<usize>) {
        self.memory_limit.store(limit_to_bits(limit), Ordering::Relaxed);
        self.aim_again();
    }

    /// Sets the goal anew, unless a cycle runs already.
    fn aim_again(&self) {
        let last = self.last.lock();
        if self.trigger.load(Ordering::Relaxed) != u64::MAX {
            self.aim(&last);
        }
    }

    /// Sets the goal, and where the next cycle starts.
    fn aim(&self, last: &LastMark) {
        let growth = self.growth(last);
        let goal = last.ended_with_outside.saturating_add(growth);
        self.goal.store(goal, Ordering::Relaxed);
        self.overdue.store(goal.saturating_add(growth / 4), Ordering::Relaxed);
        self.trigger.store(goal - last.lead.min(growth / 2), Ordering::Relaxed);
        self.room_trigger.store(last.ended + self.room(self.live()), Ordering::Relaxed);
    }

    /// How many bytes may be allocated until the next mark has ended.
    fn growth(&self, last: &LastMark) -> u64 {
        let wanted = last.live().max(MIN_LIVE).saturating_mul(self.growth_percent().into()) / 100;
        let limit = self.memory_limit.load(Ordering::Relaxed);
        let allowed = limit.saturating_sub(last.span_bytes).saturating_sub(last.old_outside);
        wanted.min(allowed.max(last.runway).max(MIN_GROWTH))
    }

    /// How many bytes of the region may be allocated until the next cycle, with so many found marked in it.
    fn room(&self, live: u64) -> u64 {
        (self.region_bytes.saturating_sub(live) / 2).max(1)
    }

    /// Counts allocated bytes; true if a cycle should start.
    pub(crate) fn allocated(&self, bytes: u64) -> bool {
        let allocated = self.allocated.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = allocated.saturating_add(self.outside.load(Ordering::Relaxed));
        all >= self.trigger.load(Ordering::Relaxed) || allocated >= self.room_trigger.load(Ordering::Relaxed)
    }

    /// Whether a quarter of what may be allocated before the first cycle has been.
    #[inline]
    pub(crate) fn is_first_cycle_near(&self) -> bool {
        self.all() >= self.trigger.load(Ordering::Relaxed) / 4
    }

    /// Whether as much has been allocated as there should have been by the end of the mark.
    #[inline]
    pub(crate) fn is_late(&self) -> bool {
        self.all() >= self.goal.load(Ordering::Relaxed)
    }

    /// Whether a quarter more has been allocated than there should have been by the end of the mark.
    pub(crate) fn is_overdue(&self) -> bool {
        self.all() >= self.overdue.load(Ordering::Relaxed)
    }

    /// Counts bytes outside the heap: what new objects own, and what was reported besides.
    pub(crate) fn allocated_outside(&self, owned: u64, reported: u64) {
        let (owned, reported) = (owned.min(MAX_OUTSIDE), reported.min(MAX_OUTSIDE));
        self.owned.fetch_add(owned, Ordering::Relaxed);
        let more = |outside: u64| Some((outside + owned + reported).min(MOST_OUTSIDE));
        let _ = self.outside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Bytes allocated, in the heap and outside, since the heap was made.
    fn all(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed).saturating_add(self.outside.load(Ordering::Relaxed))
    }

    /// A mark begins: no further cycle is asked for until `end_sweep`.
    pub(crate) fn begin_mark(&self) {
        let mut last = self.last.lock();
        self.trigger.store(u64::MAX, Ordering::Relaxed);
        self.room_trigger.store(u64::MAX, Ordering::Relaxed);
        last.began = self.all();
        last.assists = self.assists.load(Ordering::Relaxed);
        last.relayed = self.relayed.load(Ordering::Relaxed);
        // As much as the last time; the first time, whatever there is.
        let expected = match self.traced.swap(0, Ordering::Relaxed) {
            0 => self.allocated.load(Ordering::Relaxed),
            traced => traced,
        };
        self.expected.store(expected, Ordering::Relaxed);
        self.earned.store(0, Ordering::Relaxed);
    }

    /// All that is born from now on survives the cycle: handshake 2 is through. What objects own now, less what this cycle and those
    /// before it drop, is what lives of it.
    pub(crate) fn note_births(&self) {
        self.mark_began.store(self.allocated.load(Ordering::Relaxed), Ordering::Relaxed);
        self.owned_when_it_began.store(self.owned.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut last = self.last.lock();
        let snapshot = self.all().saturating_sub(last.began);
        last.snapshot = expected_after(snapshot, last.snapshot);
    }

    /// So many bytes were born on a processor in `Mark`, while others are still to answer handshake 2. That may be a multiple of what lives, where
    /// one of them has a long mutation. (About: what a run has from before that is told of with the rest of it.)
    pub(crate) fn born_early(&self, bytes: u64) {
        self.born_early.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A marker has traced so many bytes.
    pub(crate) fn earn(&self, bytes: u64) {
        self.traced.fetch_add(bytes, Ordering::Relaxed);
        self.earned.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A mutation has traced so many bytes.
    pub(crate) fn assisted(&self, bytes: u64) {
        self.traced.fetch_add(bytes, Ordering::Relaxed);
        self.assists.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The same, for one that takes the steps of a small cycle.
    pub(crate) fn relayed(&self, bytes: u64) {
        self.assisted(bytes);
        self.relayed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes a mutation should trace that takes the steps of a small cycle, and has allocated so many: as many as may
    /// be. While it marks, stores have a barrier, and what is born stays.
    pub(crate) fn relay_for(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(STEEPEST_RELAYED).min(MOST_RELAYED)
    }

    /// How many it should trace where the mark of a cycle that is not small is left to mutations.
    pub(crate) fn short_assist_for(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(STEEPEST_SHORT).min(MOST_SHORT)
    }

    /// Whether mutations have allocated slowly since the last mark ended, where the last cycle has ended so long ago: not much faster than a marker traces.
    /// And there is to be room for a while.
    pub(crate) fn is_calm(&self, rest: Duration) -> bool {
        let allocated = self.all().saturating_sub(self.last.lock().ended_with_outside);
        allocated <= calm_in(rest) && self.allocated.load(Ordering::Relaxed) < self.room_trigger.load(Ordering::Relaxed)
    }

    /// Whether they have since the mark that runs began, so long ago.
    pub(crate) fn is_mark_calm(&self, age: Duration) -> bool {
        let allocated = self.all().saturating_sub(self.last.lock().began);
        allocated <= calm_in(age).saturating_add(CALM_AT_ONCE)
    }

    /// How many bytes are to be traced for so many that were allocated while a mark runs, whoever does that.
    fn due_for(&self, bytes: u64) -> u64 {
        let expected = self.expected.load(Ordering::Relaxed);
        // There may be more than expected.
        let remaining = expected.saturating_sub(self.traced.load(Ordering::Relaxed)).max(expected / 16);
        let room = self.goal.load(Ordering::Relaxed).saturating_sub(self.all());
        let most = bytes.saturating_mul(STEEPEST);
        bytes.saturating_mul(remaining).checked_div(room).map_or(most, |due| due.min(most))
    }

    /// For how many bytes that were allocated, of so many, it is to trace `traced`.
    pub(crate) fn worth(&self, bytes: u64, traced: u64) -> u64 {
        bytes.saturating_mul(traced).checked_div(self.due_for(bytes)).map_or(0, |worth| worth.min(bytes))
    }

    /// How many bytes a mutation should trace that has allocated so many, while a mark runs.
    pub(crate) fn assist_for(&self, bytes: u64) -> u64 {
        let due = self.due_for(bytes).min(MOST_ASSISTED);
        // Taken one by one it could be spent twice, so by a compare-and-swap.
        let spend = |earned: u64| Some(earned - earned.min(due));
        let earned = self.earned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).unwrap_or_default();
        due - earned.min(due)
    }

    /// A mark has ended.
    pub(crate) fn end_mark(&self) {
        let mut last = self.last.lock();
        last.ended = self.allocated.load(Ordering::Relaxed);
        last.ended_with_outside = self.all();
        let during = last.ended_with_outside.saturating_sub(last.began);
        last.runway = expected_after(during, last.runway);
        last.lead = if self.was_relayed(&last) && self.memory_limit().is_none() {
            last.runway.min(last.snapshot)
        } else if self.assists.load(Ordering::Relaxed) - last.assists > self.traced() / 2 {
            last.runway.min(last.snapshot + self.traced())
        } else {
            last.runway
        };
    }

    /// Whether mutations have traced most in the last mark, as steps of the cycle, which has been small to its end.
    fn was_relayed(&self, last: &LastMark) -> bool {
        self.is_small() && self.relayed.load(Ordering::Relaxed) - last.relayed > self.traced() / 2
    }

    /// A sweep has ended, which found `live` bytes marked, and left `span_bytes` in use. What was dropped since the heap was made had
    /// owned `disowned` bytes outside. True if the next cycle should start at once.
    pub(crate) fn end_sweep(&self, live: usize, span_bytes: usize, disowned: u64) -> bool {
        let mut last = self.last.lock();
        let live = live as u64;
        self.live.store(live, Ordering::Relaxed);
        let born = last.ended - self.mark_began.load(Ordering::Relaxed);
        last.old = live.saturating_sub(born).saturating_sub(self.born_early.swap(0, Ordering::Relaxed));
        // No more than was traced: where a thread has lost its core in the midst of the mark, it was not short.
        last.born = if self.was_relayed(&last) { born.min(self.traced()) } else { 0 };
        // All that was dropped had been allocated before the snapshot. (Saturating: a processor tells of it a little later, and a
        // `Trace` by hand may contradict itself.)
        last.old_outside = self.owned_when_it_began.load(Ordering::Relaxed).saturating_sub(disowned);
        last.span_bytes = span_bytes as u64;
        self.live_outside.store(last.old_outside, Ordering::Relaxed);
        self.aim(&last);
        drop(last);
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

    /// Bytes that were traced in the mark that runs, or ran last.
    pub(crate) fn traced(&self) -> u64 {
        self.traced.load(Ordering::Relaxed)
    }

    /// Bytes that the mark that runs is expected to trace, or has traced if those are more; between two marks, of the last one, and 0 before the first.
    pub(crate) fn most_to_trace(&self) -> u64 {
        self.expected.load(Ordering::Relaxed).max(self.traced())
    }

    /// Whether the mark that runs, or else the next one by what the last one was, is small.
    pub(crate) fn is_small(&self) -> bool {
        self.most_to_trace() <= MOST_TRACED
    }

    /// Whether that mark is long enough for mutations to look more often whether to trace.
    pub(crate) fn is_mark_long(&self) -> bool {
        self.most_to_trace() > SHORTLY_TRACED
    }

    /// Whether so much is to be traced that mutations that do it should have short runs meanwhile.
    pub(crate) fn is_much_to_trace(&self) -> bool {
        self.most_to_trace() > MUCH_TRACED
    }

    /// Bytes that mutations have traced since the heap was made.
    pub(crate) fn assists(&self) -> u64 {
        self.assists.load(Ordering::Relaxed)
    }

    /// Bytes that were live when the last mark began, in the heap and outside.
    pub(crate) fn old(&self) -> u64 {
        let last = self.last.lock();
        last.old.saturating_add(last.old_outside)
    }

    /// Bytes in the heap and outside, as far as they count as live or were allocated since: now, and by when the mark is to have
    /// ended, of this cycle or of the next one.
    pub(crate) fn size_and_goal(&self) -> (u64, u64) {
        let last = self.last.lock();
        let live = last.live();
        let since = |count: u64| live.saturating_add(count.saturating_sub(last.ended_with_outside));
        (since(self.all()), since(self.goal.load(Ordering::Relaxed)))
    }
}

/// What is expected of the next cycle, where this one took so much and so much was expected of it: more at once, less by and by. To start late costs
/// memory, to start early only time.
fn expected_after(took: u64, expected: u64) -> u64 {
    took.max(expected - expected.saturating_sub(took) / 4)
}

/// How many bytes may be allocated in a time.
fn calm_in(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).saturating_mul(CALM_PER_MICROSECOND)
}

fn limit_to_bits(limit: Option<usize>) -> u64 {
    limit.map_or(u64::MAX, |limit| limit as u64)
}
