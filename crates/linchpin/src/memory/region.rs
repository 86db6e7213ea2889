//! The reserved address range and its side metadata.

use std::ops::Range;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::quarters::{QUARTERS, bytes_in_unit, lead, quarter_of, quarters_of, unit_of_span};
use super::side::{SideTable, View};
use super::size_class::{is_odd, odd_slot_in_granule};
use super::span::Span;
use super::{FIRST_QUARTER, GRANULE, QUARTER_BYTES, SPAN_BYTES, SPAN_GRANULES};
use crate::error::BuildError;
use crate::panics::tell;
use crate::pin::counter::PinCounter;
use crate::pin::stripes::{Stripe, Stripes};
use crate::sync::{AtomicU8, Ordering};

/// The smallest region, in bytes.
pub(crate) const MIN_REGION: usize = if cfg!(loom) { 2 } else { 16 } * SPAN_BYTES;
/// The largest region, in bytes: what leaves room for the metadata in 47 bits of address space.
pub(crate) const MAX_REGION: usize = 1 << 45;

/// Where a huge page may begin, in bytes, on machines whose pages have 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// One mapping: the region and, behind it, its side metadata.
///
/// The mapping lives exactly as long as this value.
///
/// Making it is the one step that can fail. All of it is readable and writable from then on, and the kernel commits a page
/// when it is first written to, so no later call could be refused. Where the kernel promises memory only as far as it has
/// some (`vm.overcommit_memory` 2, `RLIMIT_AS`, `RLIMIT_DATA`), it counts the whole mapping when it is made, and a region
/// that is too large is refused then. Where it promises more, running out is its own affair: it ends a process by a signal,
/// whatever call had come before. To commit span by span (`mprotect`) would cost a call a span and an entry in the kernel's
/// table of mappings for each change, and would bring an error in the first case only. So there is no such step, and none
/// to inject a failure into.
pub(crate) struct Region {
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    base: NonNull<u8>,
    bytes: usize,
    /// A granule's number is counted from address 0.
    marks: SideTable<AtomicU8>,
    pin_counters: SideTable<PinCounter>,
    /// For pin counters of which many processors make use.
    pub(crate) stripes: Stripes,
    pin_flags: SideTable<AtomicU8>,
    spans: SideTable<Span>,
    quarters: SideTable<Span>,
    /// Units from the first one on that had their pages before anything was in them.
    populated_units: usize,
}

// SAFETY: the pointers lead into a mapping this value owns, and what lies there is atomics, or objects whose
// access is governed by the heap's protocol (module head of `memory`).
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves a region of `bytes` (rounded up to whole spans).
    pub(crate) fn reserve(bytes: usize) -> Result<Self, BuildError> {
        if bytes < MIN_REGION {
            return Err(BuildError::RegionTooSmall { requested: bytes, min: MIN_REGION });
        }
        if bytes > MAX_REGION {
            return Err(BuildError::RegionTooLarge { requested: bytes, max: MAX_REGION });
        }
        let bytes = bytes.next_multiple_of(SPAN_BYTES);
        let units = bytes / SPAN_BYTES;
        let granules = bytes / GRANULE;
        let page = rustix::param::page_size().max(4096);
        // Objects and mark bytes begin where huge pages may.
        let objects_bytes = bytes.next_multiple_of(HUGE_PAGE);
        let marks_bytes = granules.next_multiple_of(page);
        let counters_bytes = (granules * size_of::<PinCounter>()).next_multiple_of(page);
        let flags_bytes = units.next_multiple_of(page);
        let spans_bytes = (units * size_of::<Span>()).next_multiple_of(page);
        let quarters_bytes = (units * QUARTERS * size_of::<Span>()).next_multiple_of(page);
        // A huge page more than needed, so that the region can be aligned inside the mapping.
        let mapping_bytes =
            objects_bytes + HUGE_PAGE + marks_bytes + counters_bytes + flags_bytes + spans_bytes + quarters_bytes;
        // SAFETY: an anonymous private mapping at an address of the kernel's choice overlaps nothing.
        let mapping = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapping_bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(|error| BuildError::ReserveFailed { bytes: mapping_bytes, errno: error.raw_os_error() })?
        .cast::<u8>();
        let mapping = NonNull::new(mapping).expect("the kernel maps nothing at address zero");
        assert!(
            isize::try_from(mapping.addr().get() + mapping_bytes).is_ok(),
            "the upper half of the address space is the kernel's, and tagged words count on that"
        );
        let slack = mapping.addr().get().next_multiple_of(HUGE_PAGE) - mapping.addr().get();
        let part = |offset: usize| {
            // SAFETY: `offset` is the sum of sizes that together make up the mapping, so it stays inside.
            unsafe { mapping.add(offset) }
        };
        let base = part(slack);
        let marks_at = slack + objects_bytes;
        let marks = part(marks_at);
        let pin_counters = part(marks_at + marks_bytes);
        let pin_flags = part(marks_at + marks_bytes + counters_bytes);
        let spans = part(marks_at + marks_bytes + counters_bytes + flags_bytes);
        let quarters = part(marks_at + marks_bytes + counters_bytes + flags_bytes + spans_bytes);
        // A huge page under one pin counter would commit two megabytes for four bytes. Where the kernel
        // knows no huge pages the advice fails, and nothing is lost.
        // SAFETY: the range is part of the mapping made above and holds nothing yet.
        let _ = unsafe {
            madvise(
                pin_counters.as_ptr().cast(),
                counters_bytes + flags_bytes + spans_bytes + quarters_bytes,
                Advice::LinuxNoHugepage,
            )
        };
        let first = base.addr().get() / GRANULE;
        // SAFETY: the parts of the mapping are zeroed, as long as these tables, and lie apart; the mapping lives as long as
        // the region, which the tables are part of. Atomics and what is made of them may be all zeros.
        let (marks, pin_counters, pin_flags, spans, quarters) = unsafe {
            (
                SideTable::of_granules(marks, first, granules),
                SideTable::of_granules(pin_counters, first, granules),
                SideTable::of_units(pin_flags, units),
                SideTable::of_units(spans, units),
                // Under loom none is split.
                SideTable::of_units(quarters, if cfg!(loom) { 0 } else { units * QUARTERS }),
            )
        };
        let stripes = Stripes::default();
        Ok(Self {
            mapping,
            mapping_bytes,
            base,
            bytes,
            marks,
            pin_counters,
            stripes,
            pin_flags,
            spans,
            quarters,
            populated_units: 0,
        })
    }

    /// The size of the region in bytes, metadata not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of 64 KiB units.
    pub(crate) fn units(&self) -> usize {
        self.bytes / SPAN_BYTES
    }

    /// Units from the first one on that had their pages before anything was in them.
    pub(crate) fn populated_units(&self) -> usize {
        self.populated_units
    }

    /// So many units have their pages.
    pub(super) fn note_populated(&mut self, units: usize) {
        self.populated_units = units;
    }

    /// Where the objects and the mark bytes of the lowest units lie, and how many bytes these are. Both begin with a page of the mapping, and
    /// the last page that begins in one is part of the mapping.
    pub(super) fn objects_and_marks(&self, units: usize) -> [(NonNull<u8>, usize); 2] {
        #[cfg(not(loom))]
        let marks = (self.marks.start(), units * SPAN_GRANULES);
        // (Loom's tables are not in the mapping.)
        #[cfg(loom)]
        let marks = (self.base, 0);
        [(self.base, units * SPAN_BYTES), marks]
    }

    /// Whether `address` lies in the region.
    #[inline(always)]
    pub(crate) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.addr().get()) < self.bytes
    }

    /// The unit that holds `address`, which lies in the region.
    #[inline(always)]
    pub(crate) fn unit_of(&self, address: usize) -> usize {
        debug_assert!(self.contains(address));
        (address - self.base.addr().get()) / SPAN_BYTES
    }

    /// The first byte of a unit.
    pub(crate) fn unit_start(&self, unit: usize) -> NonNull<u8> {
        debug_assert!(unit < self.units());
        // SAFETY: `unit` is below `units()`, so the offset stays inside the region.
        unsafe { self.base.add(unit * SPAN_BYTES) }
    }

    /// The record of a span; or of a unit, by its number.
    #[inline(always)]
    pub(crate) fn span(&self, span: usize) -> &Span {
        match quarter_of(span) {
            Some(quarter) => self.quarters.get(quarter),
            None => self.spans.get(span),
        }
    }

    /// The first byte of a span.
    pub(crate) fn span_start(&self, span: usize) -> NonNull<u8> {
        let within = quarter_of(span).map_or(0, |quarter| quarter % QUARTERS * QUARTER_BYTES);
        // SAFETY: the quarters of a unit lie inside it.
        unsafe { self.unit_start(unit_of_span(span)).add(within) }
    }

    /// Where the first slot of a span begins, whose slots have this size.
    pub(crate) fn first_slot(&self, span: usize, slot_bytes: usize) -> NonNull<u8> {
        // SAFETY: what comes before the first slot is less than a slot, and so less than a quarter.
        unsafe { self.span_start(span).add(lead(span, slot_bytes)) }
    }

    /// The addresses at which the objects of a span may start; none if it is free.
    pub(crate) fn slots(&self, span: usize) -> impl Iterator<Item = usize> {
        let record = self.span(span);
        let slot_bytes = record.slot_bytes();
        let start = self.first_slot(span, slot_bytes).addr().get();
        (0..record.slots()).map(move |slot| start + slot * slot_bytes)
    }

    /// Where the slot begins that holds the byte at `address`, which lies in the first unit of the span; for a free span, where that begins.
    #[inline(always)]
    pub(crate) fn slot_at(&self, span: usize, address: usize) -> Option<usize> {
        let record = self.span(span);
        let start = self.span_start(span).addr().get();
        let origin = if is_odd(record.slot_bytes()) { start - start % SPAN_BYTES } else { start };
        let slot = origin + record.slot_offset(address - origin);
        // What comes before the first slot of a quarter is no part of any.
        (slot >= start).then_some(slot)
    }

    /// The same for a unit: of the span that begins in it, or of its quarters.
    pub(crate) fn slots_of_unit(&self, unit: usize) -> impl Iterator<Item = usize> {
        let quarters = self.span(unit).is_split().then(|| quarters_of(unit));
        let whole = quarters.is_none().then_some(unit);
        whole.into_iter().chain(quarters.into_iter().flatten()).flat_map(|span| self.slots(span))
    }

    /// The number of the span that the byte at `address` lies in, which lies in the region; of a large one, that of a unit of it.
    #[inline(always)]
    pub(crate) fn span_at(&self, address: usize) -> usize {
        let unit = self.unit_of(address);
        if self.spans.get(unit).is_split() { FIRST_QUARTER + self.quarter_at(address) } else { unit }
    }

    /// Which quarter of the region the byte at `address` lies in.
    #[inline(always)]
    fn quarter_at(&self, address: usize) -> usize {
        (address - self.base.addr().get()) / QUARTER_BYTES
    }

    /// The record of the span an object lies in, for the start of an object.
    #[inline(always)]
    pub(crate) fn span_of(&self, object: NonNull<u8>) -> &Span {
        let address = object.addr().get();
        let span = self.spans.get(self.unit_of(address));
        if span.is_split() { self.quarters.get(self.quarter_at(address)) } else { span }
    }

    /// The number of a granule, counted from address 0.
    #[inline(always)]
    fn granule_number(&self, address: usize) -> usize {
        debug_assert!(self.contains(address));
        address / GRANULE
    }

    /// The mark byte of the granule at `address`, which lies in the region.
    #[inline(always)]
    pub(crate) fn mark(&self, address: usize) -> &AtomicU8 {
        self.marks.get(self.granule_number(address))
    }

    /// The next free slots that lie side by side, of those from `from` up to `limit`, which are so many bytes apart; none at `limit` if none is free.
    #[inline(always)]
    pub(crate) fn free_slots(&self, from: usize, limit: usize, slot_bytes: usize) -> Range<usize> {
        let start = if is_odd(slot_bytes) {
            self.free_odd_slot(from, limit, slot_bytes)
        } else {
            from + self.marks.until_zero(from / GRANULE..limit / GRANULE, slot_bytes / GRANULE) * GRANULE
        };
        // Only where an object starts is a mark byte set, so that the first one tells where they end.
        let granules = self.marks.zeros(start / GRANULE..limit / GRANULE);
        let end = if granules == limit / GRANULE - start / GRANULE {
            limit
        } else {
            slot_in_granule((start / GRANULE + granules) * GRANULE, slot_bytes)
        };
        start..end
    }

    /// The first odd slot that is free, from that at `address` on; `end`, where the last one ends, if none is.
    fn free_odd_slot(&self, address: usize, end: usize, slot_bytes: usize) -> usize {
        let mut slot = address;
        // Relaxed: as in `SideTable::zeros`.
        while slot < end && self.mark(slot).load(Ordering::Relaxed) != 0 {
            slot += slot_bytes;
        }
        slot
    }

    /// The table of the mark bytes, for who keeps it at hand.
    #[inline(always)]
    pub(crate) fn marks(&self) -> View<AtomicU8> {
        View::of(&self.marks)
    }

    /// Runs `f` on the mark bytes of the first unit of a span, or of a quarter, as plain memory that it changes.
    ///
    /// # Safety
    /// The caller owns the span, no barrier is active and no marker runs; and the values in the span have nothing to drop (those of others are asked for by
    /// [`is_being_dropped`](super::sweep::Memory::is_being_dropped)).
    pub(crate) unsafe fn with_plain_marks_mut<R>(&self, span: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let first = self.granule_number(self.span_start(span).addr().get());
        // SAFETY: by the caller's promise nobody else accesses them.
        unsafe { self.marks.with_plain_mut(first..first + bytes_in_unit(span) / GRANULE, f) }
    }

    /// The numbers of a unit's granules.
    #[cfg(not(loom))]
    fn granules_of_unit(&self, unit: usize) -> Range<usize> {
        let first = self.granule_number(self.unit_start(unit).addr().get());
        first..first + SPAN_GRANULES
    }

    /// The pin counter of the granule at `address`, which lies in the region.
    #[inline(always)]
    pub(crate) fn pin_counter(&self, address: usize) -> &PinCounter {
        self.pin_counters.get(self.granule_number(address))
    }

    /// Whether the object at `address` is pinned.
    #[inline(always)]
    pub(crate) fn is_pinned(&self, address: usize) -> bool {
        self.pin_counter(address).is_pinned(&self.stripes)
    }

    /// How many pins the object at `address` has.
    pub(crate) fn pin_count(&self, address: usize) -> u32 {
        self.pin_counter(address).count(&self.stripes)
    }

    /// Where the object starts that a pin counter belongs to; or, if it is a stripe, the one that it is a stripe of.
    ///
    /// # Safety
    /// The counter is one of this region, or was given by its stripes, and counts a pin.
    pub(crate) unsafe fn object_of_counter(&self, counter: NonNull<PinCounter>) -> NonNull<u8> {
        let number = self.pin_counters.number_of(counter).or_else(|| {
            // SAFETY: the caller's promise.
            self.pin_counters.number_of(unsafe { Stripe::striped(counter) })
        });
        let granule = number.expect("a stripe is one of a counter of this region") * GRANULE;
        let slot_bytes = self.span_of(self.pointer(granule)).slot_bytes();
        self.pointer(slot_in_granule(granule, slot_bytes))
    }

    /// The "may hold pins" flag of a unit.
    #[inline(always)]
    pub(crate) fn pin_flag(&self, unit: usize) -> &AtomicU8 {
        self.pin_flags.get(unit)
    }

    /// Returns the pages of free units to the operating system, and those of their mark bytes and pin counters; whether it took them.
    /// All of it reads 0 afterwards.
    ///
    /// # Safety
    /// The units are free, and nobody can take them meanwhile.
    #[must_use]
    pub(crate) unsafe fn return_units(&self, units: Range<usize>) -> bool {
        let start = self.unit_start(units.start);
        // SAFETY: the range is part of the mapping, and nobody has anything there: the caller's promise.
        let returned = unsafe { discard(start, units.len() * SPAN_BYTES) };
        // (Loom's tables are not in the mapping.)
        #[cfg(not(loom))]
        if returned {
            let granules = self.granules_of_unit(units.start).start..self.granules_of_unit(units.end - 1).end;
            // SAFETY: what lies there is 0, as these are free units, and stays so. Who reads it meanwhile, reads 0.
            unsafe {
                self.marks.discard(granules.clone());
                self.pin_counters.discard(granules);
            }
        }
        returned
    }

    /// A pointer of the region's provenance at `address`, which lies in it.
    pub(crate) fn pointer(&self, address: usize) -> NonNull<u8> {
        debug_assert!(self.contains(address));
        // SAFETY: the offset stays inside the region.
        unsafe { self.base.add(address - self.base.addr().get()) }
    }
}

/// The address of the slot that begins in the granule at `granule`. (Units are aligned.)
#[inline(always)]
fn slot_in_granule(granule: usize, slot_bytes: usize) -> usize {
    if !is_odd(slot_bytes) {
        return granule;
    }
    let within = granule % SPAN_BYTES;
    granule - within + odd_slot_in_granule(within, slot_bytes)
}

/// Gives up the pages that lie within a range of the mapping; whether the system took them.
///
/// # Safety
/// The range is part of a private anonymous mapping, and what is in it is not needed any more.
pub(super) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
    let page = rustix::param::page_size();
    let skipped = start.addr().get().next_multiple_of(page) - start.addr().get();
    let bytes = bytes.saturating_sub(skipped) / page * page;
    // SAFETY: the caller's promise; the pages lie within the range.
    bytes == 0 || unsafe { madvise(start.as_ptr().wrapping_add(skipped).cast(), bytes, Advice::LinuxDontNeed) }.is_ok()
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range is the one mapped in `reserve`; whoever drops the region has made sure that
        // nothing points into it any more.
        let outcome = unsafe { munmap(self.mapping.as_ptr().cast(), self.mapping_bytes) };
        let Err(error) = outcome else { return };
        // The kernel may have merged it with a neighbour, and may have no entry left for the two halves of that.
        // SAFETY: as above; the memory goes back, and only the addresses stay.
        let emptied = unsafe { madvise(self.mapping.as_ptr().cast(), self.mapping_bytes, Advice::LinuxDontNeed) };
        tell(format_args!(
            "the operating system refused to unmap a region ({error}); {} bytes of address space stay reserved{}",
            self.mapping_bytes,
            if emptied.is_ok() { "" } else { ", and their memory in use" }
        ));
    }
}
