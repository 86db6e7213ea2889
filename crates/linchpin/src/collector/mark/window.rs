//! Windows: what a marker traces without a look at anything else.
//!
//! Programs mostly allocate one after the other what leads to one another, and objects of a type lie side by side. So most pointers of a tree lead to less than a
//! kilobyte away. A window is as much memory as one word has bits for its granules, 1 KiB; while it is traced, an object that lies in it is noted
//! in that word ([`Tracer::visit_start`]), with no stack and no table, and its turn comes before the window is left. What lies elsewhere goes onto the
//! stack. One window lies in one span, whose objects are of one type, so its trace function is called for all of them, and has the loop.
//!
//! Where much of a window was grey, as much is likely of the next one, which is asked for as a whole, and of those behind that.

use std::ptr::NonNull;

use super::{Grey, SPLIT_ABOVE, Tracer};
use crate::memory::prefetch::{LINE_BYTES, prefetch};
use crate::memory::region::Region;
use crate::memory::size_class::odd_slot_in_granule;
use crate::memory::{GRANULE, SPAN_BYTES};

/// The bytes of a window.
pub(crate) const WINDOW_BYTES: usize = u64::BITS as usize * GRANULE;

/// Where so many bytes of a window were traced, and so many objects, the next one is asked for as a whole. (Larger objects may have all their pointers in one line.)
const DENSE_BYTES: usize = WINDOW_BYTES / 2;
const DENSE_OBJECTS: usize = 4;

/// And the one so far behind it. (Measured: three windows. With two or four, or without one of both, trees of 4 million nodes take longer.)
const AHEAD_BYTES: usize = 3 * WINDOW_BYTES;

/// What `Tracer::window` is while none is traced: no address is less than a window's bytes above it.
pub(super) const NO_WINDOW: usize = 0;

/// Objects of a window, or parts of large ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    /// Its first byte.
    pub(super) address: usize,
    /// A bit for each granule that one starts at.
    pub(super) bits: u64,
}

impl Window {
    /// A window with one object.
    #[inline(always)]
    pub(super) fn of(Grey(object): Grey) -> Self {
        let address = object.addr().get();
        let offset = address % WINDOW_BYTES;
        Self { address: address - offset, bits: 1 << (offset / GRANULE) }
    }

    /// Adds an object if it lies in the window; whether it does.
    #[inline(always)]
    pub(super) fn add(&mut self, grey: Grey) -> bool {
        let other = Self::of(grey);
        let is_same = other.address == self.address;
        if is_same {
            self.bits |= other.bits;
        }
        is_same
    }

    /// The objects, in the order of their addresses.
    #[inline(always)]
    pub(super) fn objects(self, region: &Region) -> impl Iterator<Item = Grey> {
        let mut bits = self.bits;
        std::iter::from_fn(move || Some(Grey(region.pointer(self.address + take_lowest(&mut bits)? * GRANULE))))
    }

    /// Asks for the memory of the objects.
    #[inline(always)]
    pub(super) fn fetch(self, region: &Region) {
        self.objects(region).for_each(|Grey(object)| prefetch(object.as_ptr()));
    }
}

/// Takes the lowest bit; gives its number.
#[inline(always)]
fn take_lowest(bits: &mut u64) -> Option<usize> {
    let number = bits.trailing_zeros() as usize;
    (*bits != 0).then(|| {
        *bits &= *bits - 1;
        number
    })
}

impl Tracer<'_> {
    /// Traces the objects of a window, and those that it comes to there; these are not given by [`pop`](Self::pop), so that a tracer which keeps all
    /// goes by [`scan`](Self::scan). For who does not unwind: what is left of a window would be lost.
    #[inline(always)]
    pub(super) fn scan_window(&mut self, window: Window) {
        let start = self.region.pointer(window.address);
        let span = self.region.span_of(start);
        let bytes = span.slot_bytes();
        match span.info() {
            Some(info) if bytes <= SPLIT_ABOVE => {
                let Some(trace) = info.trace else { return };
                debug_assert_eq!((self.window, self.window_bits), (NO_WINDOW, 0), "one window at a time");
                debug_assert!(!self.keeps_all, "some would be overlooked");
                (self.window, self.window_bits) = (window.address, window.bits);
                if self.was_dense {
                    fetch_all(start.as_ptr());
                }
                // SAFETY: the objects are grey, those of the window and those that are noted meanwhile, and of the type of their span, in which the
                // whole window lies; the rest as in `scan`.
                let traced = unsafe { trace(start, self) };
                self.window = NO_WINDOW;
                self.scanned_bytes += (traced * bytes) as u64;
                self.was_dense = traced >= DENSE_OBJECTS && traced * bytes >= DENSE_BYTES;
                if self.was_dense {
                    // Now, and not with the next window: so many lines at a time would have that one wait.
                    fetch_all(start.as_ptr().wrapping_add(AHEAD_BYTES));
                }
            }
            _ => window.objects(self.region).for_each(|grey| self.scan(grey)),
        }
    }

    /// Calls `trace` with each object that the tracer's bits stand for, counted from `start`, those included that are noted meanwhile; gives how many they were. For
    /// trace functions. Where slots are odd it is to be told their size: an object begins in its granule then, and not always with it.
    ///
    /// # Safety
    /// As for a [`TraceWindow`](crate::trace::TraceWindow). What is said of the slots is true.
    #[inline(always)]
    pub(crate) unsafe fn each_of_window(
        &mut self,
        start: NonNull<u8>,
        odd_slots: Option<usize>,
        trace: impl Fn(NonNull<u8>, &mut Self),
    ) -> usize {
        let mut traced = 0;
        let in_unit = start.addr().get() % SPAN_BYTES;
        while let Some(granule) = take_lowest(&mut self.window_bits) {
            let offset = match odd_slots {
                Some(slot_bytes) => odd_slot_in_granule(in_unit + granule * GRANULE, slot_bytes) - in_unit,
                None => granule * GRANULE,
            };
            // SAFETY: an object begins there, which lies in the region: the caller's promise.
            trace(unsafe { start.add(offset) }, self);
            traced += 1;
        }
        traced
    }
}

/// Asks for all memory of a window, whatever is there.
#[inline(always)]
fn fetch_all(start: *const u8) {
    (0..WINDOW_BYTES).step_by(LINE_BYTES).for_each(|line| prefetch(start.wrapping_add(line)));
}
