//! Sweeping: from "not marked" to free.
//!
//! When a mark has ended and every processor has answered the handshake to `Off`, each span's mark bytes hold
//! the colour of the cycle for what lives, the other one for what is dead, and 0 for what is free. Sweeping a
//! span drops the dead values (if the type has a drop glue) and writes 0 over their bytes. For types without
//! one this is a single pass over 4 KiB of bytes, which the compiler vectorises, or over those of the slots, if they are few.
//!
//! Spans are swept by a processor that needs room (types without drop glue only), or by the collector's
//! thread, which sweeps all the rest before the next cycle may start; or some at a time by mutations, if nothing is to be dropped
//! ([`relay`](crate::collector::relay)).

#[cfg(all(test, not(loom)))]
mod drop_tests;
#[cfg(all(test, not(loom)))]
mod in_flight_tests;
#[cfg(all(test, not(loom)))]
mod odd_tests;
mod opening;
#[cfg(all(test, not(loom)))]
mod quarter_tests;

use std::ptr::NonNull;
use std::time::{Duration, Instant};

#[cfg(test)]
use super::SPAN_GRANULES;
use super::class::{Class, Classes, Supply};
use super::free_spans::FreeSpans;
use super::quarters::{Quarters, quarter_of, unit_of_span};
use super::region::Region;
use super::size_class::MOST_ODD_BYTES;
use super::{GRANULE, PIN_FLAG_CLEAR, QUARTER_BYTES};
use crate::collector::report::Longest;
use crate::panics::contained;
use crate::processor::phase::Mode;
use crate::processor::thread as this_thread;
use crate::sync::{AtomicU64, AtomicUsize, Backoff, Mutex, Ordering, ordering, thread};
use crate::trace::TypeInfo;
use crate::verify::poison::Poison;

/// How long a processor that finds the region full waits, while a sweep is pending, before it looks again, and how often.
const LOOK_AGAIN: Duration = Duration::from_micros(50);
const PATIENCE: u32 = 200;
/// The same where the heap is verified, or filled, before and while it is swept.
const SLOW_PATIENCE: u32 = 20_000;

/// A processor that needs room sweeps no more spans than this in vain before it takes a fresh one, if there is one: in a heap of which
/// much lives there may be hundreds in a row. (Measured with 1 KiB objects that another thread has marked: 14 µs a span. Fewer cost memory.)
pub(super) const MOST_IN_VAIN: u32 = 16;

/// A span with no more slots than this is swept slot by slot: quicker than a pass over all its bytes (measured: about half the
/// time at 64 slots).
const FEW_SLOTS: usize = 64;

const _: () = assert!(
    QUARTER_BYTES / MOST_ODD_BYTES > FEW_SLOTS + 1,
    "slots that are few are no odd ones, whose mark bytes do not lie equally far apart"
);

/// The heap's memory: the region, its free units and the classes.
pub(crate) struct Memory {
    /// The heap's number.
    heap: u64,
    pub(crate) region: Region,
    pub(crate) classes: Classes,
    free: Mutex<FreeSpans>,
    quarters: Mutex<Quarters>,
    /// The last cycle whose mark has ended.
    marked_cycle: AtomicU64,
    /// The last cycle whose dead may be swept: `marked_cycle`, as soon as no barrier is active any more.
    sweepable_cycle: AtomicU64,
    /// The last cycle whose dead are all swept.
    swept_cycle: AtomicU64,
    /// Figures, for the pacer and the statistics.
    pub(crate) swept: SweptFigures,
    /// The longest that a mutation was held up on behalf of the collector.
    pub(crate) longest_wait: Longest,
    /// What fills free memory, if that was asked for.
    pub(crate) poison: Option<Poison>,
    /// How often a processor that finds the region full looks again.
    patience: u32,
}

/// What sweeps have counted.
#[derive(Default)]
pub(crate) struct SweptFigures {
    /// Bytes found live since the last mark ended.
    pub(crate) live_bytes: AtomicUsize,
    /// Objects found live since the last mark ended.
    pub(crate) live_objects: AtomicUsize,
    /// Objects freed since the heap was made.
    pub(crate) freed_objects: AtomicU64,
    /// Values dropped since the heap was made.
    pub(crate) dropped_values: AtomicU64,
    /// Drops that panicked.
    pub(crate) drop_panics: AtomicU64,
    /// Bytes outside the heap that dropped values had owned, since the heap was made.
    pub(crate) disowned_bytes: AtomicU64,
}

/// A span taken for allocation: swept, and nobody else's.
pub(crate) struct Taken {
    pub(crate) unit: usize,
    /// All its slots are free.
    pub(crate) fresh: bool,
}

impl Memory {
    pub(crate) fn new(heap: u64, region: Region, poison: Option<Poison>, slow_sweeps: bool) -> Self {
        let mut free = FreeSpans::new(region.units());
        let populated = region.populated_units();
        free.note_populated(populated);
        let memory = Self {
            heap,
            region,
            classes: Classes::new(),
            free: Mutex::new(free),
            quarters: Mutex::default(),
            marked_cycle: AtomicU64::new(0),
            sweepable_cycle: AtomicU64::new(0),
            swept_cycle: AtomicU64::new(0),
            swept: SweptFigures::default(),
            longest_wait: Longest::default(),
            poison,
            patience: if slow_sweeps { SLOW_PATIENCE } else { PATIENCE },
        };
        // What is resident holds the pattern.
        // SAFETY: nobody else has the memory yet, in which nothing is.
        unsafe { memory.poison_again(0..populated) };
        memory
    }

    /// The last cycle whose mark has ended.
    pub(crate) fn marked_cycle(&self) -> u64 {
        // Acquire: pairs with the release in `end_mark`.
        self.marked_cycle.load(Ordering::Acquire)
    }

    /// Declares that the mark of `cycle` has ended: from now on every span of an older sweep is unswept.
    /// Called before the handshake to `Off`, so that a processor in `Off` knows.
    pub(crate) fn end_mark(&self, cycle: u64) {
        // Relaxed: figures. Whoever adds to them sweeps this cycle, and has seen `open_sweep`'s release.
        self.swept.live_bytes.store(0, Ordering::Relaxed);
        self.swept.live_objects.store(0, Ordering::Relaxed);
        // Release: pairs with the acquire in `marked_cycle`.
        self.marked_cycle.store(cycle, Ordering::Release);
    }

    /// Opens the sweep of `cycle`, after every processor has answered the handshake to `Off`.
    pub(crate) fn open_sweep(&self, cycle: u64) {
        for class in self.classes.all() {
            class.gather_unswept(&self.region, cycle);
        }
        // Release: pairs with the acquire in `take_span`; whoever sweeps after it sees all marks.
        self.sweepable_cycle.store(cycle, ordering!(Release, "sweep.open"));
    }

    /// Whether `object`, which a mutation in `Off` of a processor with this colour has a reference into, is dead: being
    /// dropped by a sweep right now.
    ///
    /// While a sweep is pending no cycle can begin, so whatever lives carries the colour of the last one.
    pub(crate) fn is_being_dropped(&self, object: NonNull<u8>, mode: Mode, colour: u8) -> bool {
        mode == Mode::Off
            // Only values with drop glue are dropped. And only their mark bytes may be read here: those of other types are
            // being swept plainly, for all this mutation knows.
            && self.region.span_of(object).info().is_some_and(|info| info.drop.is_some())
            && self.region.mark(object.addr().get()).load(Ordering::Relaxed) != colour
            && self.is_sweep_pending_exactly()
    }

    /// `is_sweep_pending` for who has found a mark byte of another colour, which is older than what this loads.
    ///
    /// Never false for a dying value: who has a reference to it has it from its `Drop`, which runs after `end_mark` and before
    /// `sweep_all` has ended. Never true for one that lives: its byte has the other colour because it was shaded in the next
    /// cycle, after the end of this sweep, and the end is seen here. That does not follow from the load of the byte, which
    /// is relaxed, as is the store that shades. But this is a read-modify-write with release, and so is the end of the sweep with
    /// acquire: if this came first of the two, the load of the byte would have happened before the end of the sweep, and so
    /// before the store that it reads. (To be wrong would be to panic for nothing in `pin_ref`.)
    #[cold]
    fn is_sweep_pending_exactly(&self) -> bool {
        // AcqRel: release as said above; acquire pairs with the release in `end_sweep`, as in `is_sweep_pending`. The end of the
        // next mark, which the mutation's processor has not answered for, cannot be seen.
        self.swept_cycle.fetch_max(0, Ordering::AcqRel) != self.marked_cycle()
    }

    /// Units below which everything in use lies.
    pub(crate) fn frontier(&self) -> usize {
        self.free.lock().frontier()
    }

    /// Calls `f` with the free units, which stay as they are meanwhile.
    pub(crate) fn with_free_spans<R>(&self, f: impl FnOnce(&FreeSpans) -> R) -> R {
        f(&self.free.lock())
    }

    /// Calls `f` with the free units, which it may change.
    pub(crate) fn with_free_spans_mut<R>(&self, f: impl FnOnce(&mut FreeSpans) -> R) -> R {
        f(&mut self.free.lock())
    }

    /// Calls `f` with the quarters of split units, which stay as they are meanwhile.
    pub(crate) fn with_quarters<R>(&self, f: impl FnOnce(&Quarters) -> R) -> R {
        f(&self.quarters.lock())
    }

    /// Units in use.
    pub(crate) fn units_in_use(&self) -> usize {
        self.free.lock().in_use()
    }

    /// A span for a processor in `mode` to allocate in: one with room, else a fresh one. `None` if the region is full.
    pub(crate) fn take_span(&self, class: &Class, mode: Mode) -> Option<Taken> {
        let since = Instant::now();
        let taken = self.patiently(mode, || self.try_take_span(class, mode));
        self.longest_wait.note(since);
        taken
    }

    /// A span of `units` fresh units for one object, asked for by a processor in `mode`.
    pub(crate) fn take_large_span(&self, class: &Class, units: usize, mode: Mode) -> Option<usize> {
        let since = Instant::now();
        let taken = self.patiently(mode, || self.open_span(class, units));
        self.longest_wait.note(since);
        taken
    }

    /// Tries until there is room, for a bounded time, while a sweep is pending that may find some: to say "full" at once would
    /// be worse. (In other modes than `Off` the sweep waits for the asking processor; and a `Drop` that the sweep runs would
    /// wait for its own thread.)
    fn patiently<R>(&self, mode: Mode, attempt: impl Fn() -> Option<R>) -> Option<R> {
        for _ in 0..self.patience {
            let taken = attempt();
            if taken.is_some() || mode != Mode::Off || !self.is_sweep_pending() || this_thread::is_sweeping(self.heap) {
                return taken;
            }
            thread::sleep(LOOK_AGAIN);
        }
        attempt()
    }

    /// Whether a mark has ended whose dead are not swept yet.
    pub(crate) fn is_sweep_pending(&self) -> bool {
        // Acquire: pairs with the release in `end_sweep`; what was swept is seen when it is said to be.
        self.swept_cycle.load(Ordering::Acquire) != self.marked_cycle()
    }

    fn try_take_span(&self, class: &Class, mode: Mode) -> Option<Taken> {
        let cycle = self.marked_cycle();
        // Acquire: pairs with the release in `open_sweep`.
        let sweeping = self.sweepable_cycle.load(ordering!(Acquire, "sweep.opened")) == cycle;
        // A processor that has not answered the handshake to `Off` may allocate in a span whose dead are not swept yet: its
        // free slots are free, and the span is given back in that answer, before the unswept ones are gathered.
        let stale = mode != Mode::Off;
        let mut in_vain = 0;
        while let Some(supply) = class.take(&self.region, &self.classes, cycle, sweeping, stale, false) {
            match supply {
                Supply::Swept(unit) => return Some(Taken { unit, fresh: false }),
                Supply::Unswept(unit) => {
                    let outcome = self.sweep_span(unit, class, cycle);
                    self.classes.swept_one();
                    if outcome.live == 0 {
                        return Some(Taken { unit, fresh: true });
                    }
                    if outcome.free > 0 {
                        return Some(Taken { unit, fresh: false });
                    }
                    class.give_back(unit, false);
                    in_vain += 1;
                    if in_vain == MOST_IN_VAIN
                        && let Some(unit) = self.open_small(class)
                    {
                        return Some(Taken { unit, fresh: true });
                    }
                }
            }
        }
        if let Some(unit) = self.open_small(class) {
            return Some(Taken { unit, fresh: true });
        }
        if let Some(Supply::Swept(unit)) = class.take(&self.region, &self.classes, cycle, false, stale, true) {
            return Some(Taken { unit, fresh: false });
        }
        if sweeping {
            // The region is full: what other classes have that is dead is the last resort.
            for other in self.classes.all() {
                while other.info().drop.is_none()
                    && let Some(unit) = other.take_unswept(&self.classes)
                {
                    self.sweep_and_return(unit, other, cycle);
                }
            }
            return self.open_small(class).map(|unit| Taken { unit, fresh: true });
        }
        None
    }

    /// Sweeps every span that is still unswept. Runs on the collector's thread, or on that which ends the heap; drops values.
    pub(crate) fn sweep_all(&self, cycle: u64) {
        for class in self.classes.all() {
            while let Some(unit) = class.take_unswept(&self.classes) {
                self.sweep_and_return(unit, class, cycle);
            }
        }
        // What processors took to sweep themselves is a matter of microseconds a span; a new cycle may not
        // start before.
        let backoff = Backoff::new();
        while self.classes.sweeps_in_flight() != 0 {
            backoff.snooze();
        }
        self.end_sweep(cycle);
    }

    /// Sweeps some of the spans that are still unswept, so many at most, and none with values to drop. The caller alone ends the
    /// sweep of this cycle.
    pub(crate) fn sweep_some(&self, cycle: u64, most: usize) -> Left {
        let mut swept = 0;
        let mut has_drops = false;
        for class in self.classes.all() {
            if class.info().drop.is_some() {
                has_drops |= class.has_unswept();
                continue;
            }
            while let Some(unit) = class.take_unswept(&self.classes) {
                self.sweep_and_return(unit, class, cycle);
                swept += 1;
                if swept == most {
                    return Left::Spans;
                }
            }
        }
        if has_drops {
            return Left::Drops;
        }
        // As in `sweep_all`, but that nobody waits.
        if self.classes.sweeps_in_flight() != 0 {
            return Left::Spans;
        }
        self.end_sweep(cycle);
        Left::Nothing
    }

    fn end_sweep(&self, cycle: u64) {
        self.free.lock().end_cycle();
        // Release: pairs with the acquire in `is_sweep_pending`. A read-modify-write with acquire: pairs with the release in
        // `is_sweep_pending_exactly`, so that who asks there before has looked at mark bytes before.
        self.swept_cycle.swap(cycle, Ordering::AcqRel);
    }

    fn sweep_and_return(&self, unit: usize, class: &Class, cycle: u64) {
        let outcome = self.sweep_span(unit, class, cycle);
        if outcome.live == 0 {
            self.close_span(unit, class);
        } else {
            class.give_back(unit, outcome.free > 0);
        }
        self.classes.swept_one();
    }

    /// Sweeps one span, which the caller owns.
    fn sweep_span(&self, unit: usize, class: &Class, cycle: u64) -> Outcome {
        let span = self.region.span(unit);
        debug_assert_ne!(span.swept_cycle(), cycle, "a span is swept once a cycle");
        let dead = crate::processor::phase::colour_of_cycle(cycle - 1);
        // Relaxed: pins of live objects may raise it at any time; what is done here concerns dead ones.
        let pin_flag = self.region.pin_flag(unit_of_span(unit));
        let pins_touched = pin_flag.load(Ordering::Relaxed) != PIN_FLAG_CLEAR;
        if pins_touched {
            self.reset_dead_counters(unit, dead);
        }
        let Count { freed, live } = if class.info().drop.is_some() {
            self.drop_dead(unit, class.info(), dead)
        } else {
            // SAFETY: the caller owns the span; its dead are freed below.
            unsafe { self.poison_dead(unit, dead) };
            let clear = |marks: &mut [u8]| match span.slots() {
                slots @ ..=FEW_SLOTS => clear_dead_of_few(marks, slots, span.slot_bytes() / GRANULE, dead),
                _ => clear_dead(marks, dead),
            };
            // SAFETY: the caller owns the span, and sweeps only run while no barrier and no marker does; nothing to drop.
            unsafe { self.region.with_plain_marks_mut(unit, clear) }
        };
        if pins_touched && live == 0 && quarter_of(unit).is_none() {
            // Only an empty span has no object that somebody could be pinning right now. (Where the flag is that of other quarters, too, it
            // is lowered when all are empty.)
            // Relaxed: who has the span next is this thread, or gets it by the lock of the free units.
            pin_flag.store(PIN_FLAG_CLEAR, Ordering::Relaxed);
        }
        span.set_swept_cycle(cycle);
        // Relaxed: figures. The pacer, which needs them whole, reads them after `sweeps_in_flight`, whose acquire pairs with the
        // release of each sweep's end.
        self.swept.live_bytes.fetch_add(live * span.slot_bytes(), Ordering::Relaxed);
        self.swept.live_objects.fetch_add(live, Ordering::Relaxed);
        self.swept.freed_objects.fetch_add(freed as u64, Ordering::Relaxed);
        Outcome { live, free: span.slots() - live }
    }

    /// Lets go of the owners of dead objects' pin counters, so that the next objects there start without one.
    fn reset_dead_counters(&self, unit: usize, dead: u8) {
        for address in self.region.slots(unit) {
            // Relaxed: the caller owns the span, as in `sweep_span`.
            if self.region.mark(address).load(Ordering::Relaxed) == dead {
                self.region.pin_counter(address).reset(&self.region.stripes);
            }
        }
    }

    /// Drops the dead values of a span and clears their mark bytes.
    fn drop_dead(&self, unit: usize, info: &'static TypeInfo, dead: u8) -> Count {
        let Some(drop_value) = info.drop else { return Count::default() };
        let slot_bytes = self.region.span(unit).slot_bytes();
        let Count { mut freed, mut live } = Count::default();
        let mut disowned = 0_u64;
        for address in self.region.slots(unit) {
            let mark = self.region.mark(address);
            // Relaxed, here and below: nobody else writes the bytes of a span that is being swept, which the caller owns; the
            // marks were ordered by `open_sweep` and the class's lock. A mutation that looks (`is_being_dropped`) makes sure
            // otherwise.
            let colour = mark.load(Ordering::Relaxed);
            if colour != dead {
                live += usize::from(colour != 0);
                continue;
            }
            let value = self.region.pointer(address);
            // Cleared first: whatever the value's `Drop` does, it is dropped once.
            mark.store(0, Ordering::Relaxed);
            if let Some(owned_bytes) = info.owned_bytes {
                // One that panics, which it must not, is not counted.
                // SAFETY: the slot carried a colour, so it holds an initialised value of the span's type, not dropped yet.
                let _ = contained(|| disowned = disowned.saturating_add(unsafe { owned_bytes(value) } as u64));
            }
            // SAFETY: the slot carried a colour, so it holds an initialised value of the span's type; it is dead, so
            // nobody reaches it; its byte is cleared, so it is dropped once.
            let panicked = contained(|| unsafe { drop_value(value) });
            if panicked {
                // The value counts as dropped, like a local's at unwinding.
                self.swept.drop_panics.fetch_add(1, Ordering::Relaxed);
            }
            // SAFETY: the caller owns the span, and the value has been dropped.
            unsafe { self.poison_slot(value, slot_bytes) };
            freed += 1;
        }
        self.swept.dropped_values.fetch_add(freed as u64, Ordering::Relaxed);
        if disowned != 0 {
            self.swept.disowned_bytes.fetch_add(disowned, Ordering::Relaxed);
        }
        Count { freed, live }
    }
}

/// What a piece of a sweep has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// Spans to sweep, or that others are sweeping.
    Spans,
    /// Spans with values to drop, and no others.
    Drops,
    Nothing,
}

struct Outcome {
    live: usize,
    free: usize,
}

/// Objects that a sweep of one span has found.
#[derive(Default, Debug, PartialEq, Eq)]
struct Count {
    freed: usize,
    live: usize,
}

/// Writes 0 over every byte of the dead colour; counts those, and the bytes of the other one.
fn clear_dead(marks: &mut [u8], dead: u8) -> Count {
    let mut count = Count::default();
    // Pieces of no more than 255, here 128, so that the counts of one fit a byte each and the loop vectorises.
    let (pieces, rest) = marks.as_chunks_mut::<128>();
    debug_assert!(rest.is_empty());
    for piece in pieces {
        let (mut freed, mut live) = (0_u8, 0_u8);
        for mark in piece {
            let is_dead = *mark == dead;
            freed += u8::from(is_dead);
            let kept = if is_dead { 0 } else { *mark };
            live += u8::from(kept != 0);
            *mark = kept;
        }
        count.freed += usize::from(freed);
        count.live += usize::from(live);
    }
    count
}

/// The same, looking only at the bytes of the span's slots, which lie so many apart.
fn clear_dead_of_few(marks: &mut [u8], slots: usize, apart: usize, dead: u8) -> Count {
    let mut count = Count::default();
    for mark in marks.iter_mut().step_by(apart).take(slots) {
        if *mark == dead {
            *mark = 0;
            count.freed += 1;
        } else {
            count.live += usize::from(*mark != 0);
        }
    }
    count
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_colour_is_cleared() {
        let mut marks = [0_u8; SPAN_GRANULES];
        for (index, mark) in marks.iter_mut().enumerate() {
            *mark = (index % 3) as u8;
        }
        let of = |marks: &[u8], colour| marks.iter().filter(|&&mark| mark == colour).count();
        let expected = Count { freed: of(&marks, 1), live: of(&marks, 2) };
        assert_eq!(clear_dead(&mut marks, 1), expected);
        assert_eq!((of(&marks, 1), of(&marks, 2)), (0, expected.live));
        marks.fill(1);
        assert_eq!(clear_dead(&mut marks, 1), Count { freed: SPAN_GRANULES, live: 0 });
        marks.fill(1);
        assert_eq!(clear_dead(&mut marks, 2), Count { freed: 0, live: SPAN_GRANULES });
    }

    #[test]
    fn where_slots_are_few_only_theirs_are_looked_at() {
        let mut marks = [0_u8; SPAN_GRANULES];
        for (slot, mark) in [1, 2, 0, 1, 2, 2].into_iter().enumerate() {
            marks[slot * 600] = mark;
        }
        // Beyond the last slot, where nothing ever is.
        marks[6 * 600] = 1;
        assert_eq!(clear_dead_of_few(&mut marks, 6, 600, 1), Count { freed: 2, live: 3 });
        assert_eq!((marks[0], marks[1800], marks[2400], marks[3600]), (0, 0, 2, 1));
        assert_eq!(clear_dead_of_few(&mut marks, 1, 1 << 40, 2), Count::default(), "a large object");
    }
}
