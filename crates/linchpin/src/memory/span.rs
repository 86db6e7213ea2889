//! What is known of each 64 KiB unit of the region, and of each quarter of those that are split.

use std::ptr::NonNull;

use super::SPAN_BYTES;
use super::class::Class;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::trace::TypeInfo;

/// The record of one unit, or of a quarter; the first unit of a span speaks for the whole span.
///
/// All-zero memory is the record of a free unit. The fields are written by whoever takes the span from the
/// free list or gives it back, and read by anybody; who reads them for an object he holds sees what was
/// written before the object was allocated.
#[cfg_attr(loom, derive(Default))]
#[repr(C, align(64))]
pub(crate) struct Span {
    /// The type of the objects; null while free.
    info: AtomicPtr<TypeInfo>,
    /// The distance between objects in bytes.
    slot_bytes: AtomicUsize,
    /// The last cycle after whose mark the span was swept (or in which it was made).
    swept_cycle: AtomicU64,
    /// Units of the span; 0 in all units but the first, and for a quarter.
    units: AtomicU32,
    /// How many objects the span has room for.
    slots: AtomicU32,
    /// How many units before this one the span starts.
    back: AtomicU32,
    /// 2^32 divided by the distance between objects, rounded up: turns the division in `slot_offset` into a
    /// multiplication. 0 for a span of one object.
    reciprocal: AtomicU32,
    /// The unit is split: look at the records of its quarters.
    is_split: AtomicBool,
}

/// See [`Span::slot_offset`].
fn reciprocal_of(slot_bytes: usize) -> u32 {
    if slot_bytes >= SPAN_BYTES { 0 } else { (1_u64 << 32).div_ceil(slot_bytes as u64) as u32 }
}

impl Span {
    /// Makes the record speak for a span in use: of so many units, or, with none, for a quarter.
    pub(crate) fn open(&self, class: &Class, slot_bytes: usize, slots: usize, units: usize, cycle: u64) {
        self.slot_bytes.store(slot_bytes, Ordering::Relaxed);
        self.units.store(units as u32, Ordering::Relaxed);
        self.slots.store(slots as u32, Ordering::Relaxed);
        self.back.store(0, Ordering::Relaxed);
        self.reciprocal.store(reciprocal_of(slot_bytes), Ordering::Relaxed);
        self.swept_cycle.store(cycle, Ordering::Relaxed);
        self.info.store(NonNull::from(class.info()).as_ptr(), Ordering::Relaxed);
    }

    /// Makes the record that of a later unit of a span.
    pub(crate) fn continue_span(&self, back: usize) {
        self.units.store(0, Ordering::Relaxed);
        self.back.store(back as u32, Ordering::Relaxed);
    }

    /// Makes the record that of a unit whose quarters speak for themselves.
    pub(crate) fn split(&self) {
        self.units.store(1, Ordering::Relaxed);
        self.is_split.store(true, Ordering::Relaxed);
    }

    /// Whether the unit is split.
    #[inline(always)]
    pub(crate) fn is_split(&self) -> bool {
        self.is_split.load(Ordering::Relaxed)
    }

    /// Makes the record that of a free unit, or quarter. (The walk over pins may read the record of a quarter that is being opened: all of it is 0
    /// before, so that it does not come upon one class's slot size and another's number of slots.)
    pub(crate) fn close(&self) {
        self.is_split.store(false, Ordering::Relaxed);
        self.slots.store(0, Ordering::Relaxed);
        self.info.store(std::ptr::null_mut(), Ordering::Relaxed);
        self.slot_bytes.store(0, Ordering::Relaxed);
        self.reciprocal.store(0, Ordering::Relaxed);
        self.units.store(0, Ordering::Relaxed);
        self.back.store(0, Ordering::Relaxed);
    }

    /// The type of the objects in the span, if it is in use.
    #[inline(always)]
    pub(crate) fn info(&self) -> Option<&'static TypeInfo> {
        // SAFETY: only `open` stores a non-null pointer, made from a `&'static TypeInfo`.
        unsafe { self.info.load(Ordering::Relaxed).as_ref() }
    }

    /// The distance between objects in bytes; 0 while free.
    #[inline(always)]
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slot_bytes.load(Ordering::Relaxed)
    }

    /// How many objects the span has room for; 0 while free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.load(Ordering::Relaxed) as usize
    }

    /// Where in the span the slot begins that holds the byte at `offset`, in bytes. For a free span, 0.
    ///
    /// The product is exact enough: `offset` is below 2^16 wherever the reciprocal is not 0, so the error of the
    /// rounded reciprocal stays below one slot's share.
    ///
    /// Never more than `offset`, whatever the record says: who asks by raw address, without an object in hand, may read
    /// the reciprocal of one span and the slot size of the next one there, whose product can lie far outside the region.
    #[inline(always)]
    pub(crate) fn slot_offset(&self, offset: usize) -> usize {
        let reciprocal = u64::from(self.reciprocal.load(Ordering::Relaxed));
        let slot = (offset as u64 * reciprocal) >> 32;
        (slot as usize * self.slot_bytes()).min(offset)
    }

    /// Units of the span; 0 unless this is its first unit.
    pub(crate) fn units(&self) -> usize {
        self.units.load(Ordering::Relaxed) as usize
    }

    /// How many units before this one the span starts.
    pub(crate) fn back(&self) -> usize {
        self.back.load(Ordering::Relaxed) as usize
    }

    /// The last cycle whose dead the span was swept of.
    pub(crate) fn swept_cycle(&self) -> u64 {
        self.swept_cycle.load(Ordering::Relaxed)
    }

    /// Notes that the span was swept of the dead of `cycle`.
    pub(crate) fn set_swept_cycle(&self, cycle: u64) {
        self.swept_cycle.store(cycle, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::GRANULE;

    #[test]
    fn the_reciprocal_divides_exactly() {
        for slot_bytes in (GRANULE..=SPAN_BYTES).step_by(GRANULE / 2) {
            // SAFETY: all-zero memory is the record of a free unit.
            let span: Span = unsafe { std::mem::zeroed() };
            span.reciprocal.store(reciprocal_of(slot_bytes), Ordering::Relaxed);
            span.slot_bytes.store(slot_bytes, Ordering::Relaxed);
            for slot in 0..SPAN_BYTES / slot_bytes {
                let start = slot * slot_bytes;
                assert_eq!(span.slot_offset(start), start);
                assert_eq!(span.slot_offset(start + slot_bytes - 1), start);
            }
        }
    }

    /// What `Heap::is_pinned` of any address may come across: half of a record is that of small objects, half already that
    /// of a large one.
    #[test]
    fn a_torn_record_leads_nowhere_else() {
        // SAFETY: all-zero memory is the record of a free unit.
        let span: Span = unsafe { std::mem::zeroed() };
        span.reciprocal.store(reciprocal_of(GRANULE), Ordering::Relaxed);
        span.slot_bytes.store(1 << 40, Ordering::Relaxed);
        for offset in 0..SPAN_BYTES {
            assert!(span.slot_offset(offset) <= offset);
        }
    }
}
