//! Marking: tracing grey objects until none is left.
//!
//! A marker keeps a stack of grey objects of its own, and goes to the shared queue when it is empty ([`sharing`]). There is no
//! recursion over the graph: an object's trace function pushes its children.
//!
//! A marker does not trace objects in the order in which they come onto the stack, but unit by unit ([`pending`]), and in a unit window by window
//! ([`window`]). A large
//! slice is traced in parts ([`PART_BYTES`]); its parts lie on the stack as objects do, and are shared as they are.

mod ahead;
pub(crate) mod pending;
#[cfg(all(test, not(loom)))]
mod pending_tests;
pub(crate) mod sharing;
#[cfg(all(test, not(loom)))]
mod sharing_tests;
#[cfg(all(test, not(loom)))]
mod split_tests;
pub(crate) mod window;
#[cfg(all(test, not(loom)))]
mod window_tests;

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use self::window::{NO_WINDOW, WINDOW_BYTES};
use super::queue::Grey;
use crate::gc::{Gc, Object};
use crate::memory::region::Region;
use crate::memory::side::View;
use crate::memory::{GRANULE, SPAN_BYTES};
use crate::processor::phase::Mode;
use crate::sync::{AtomicU8, Ordering};
use crate::trace::{MustNotImplementDrop, TraceWindow};

/// A slice with more bytes than this is traced in parts.
const SPLIT_ABOVE: usize = 2 * SPAN_BYTES;

/// The bytes of a part: what a mutation traces that assists, at the least. (Each of 256 pointers may lead to a mark byte
/// that is in no cache.)
pub(super) const PART_BYTES: usize = SPAN_BYTES / 32;

/// The first part of a slice has one for each so many units traced later, and each of these the others: a mutation that traces the first one of half a
/// gigabyte would else make room for thousands of units.
const GROUP_BYTES: usize = 32 * SPAN_BYTES;

/// The colour of a tracer that only records what it is told of. No mark byte has it, so each pointer takes the same way as a
/// white object's.
const INSPECTING: u8 = u8::MAX;

/// What a lock behind which a tracer looks does with what it remembers; see [`lock`](crate::gc::lock).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockMemory {
    /// It remembers to have been traced in this cycle; if it does already, it is left out.
    Remembers,
    /// It remembers nothing any more.
    Forgets,
    /// That stays as it is.
    Keeps,
}

/// What a [`Trace`](crate::Trace) implementation reports pointers to.
pub struct Tracer<'a> {
    region: &'a Region,
    /// At hand, as each pointer that is visited leads to one of them.
    marks: View<AtomicU8>,
    black: u8,
    memory: LockMemory,
    /// It has come to a lock that somebody had.
    passed_by: bool,
    /// It keeps what it marks to look at it again, though there be nothing to trace in it.
    keeps_all: bool,
    /// Weak maps that it was the first to come to, by number.
    weak_maps: Vec<u64>,
    stack: Vec<Grey>,
    /// The first byte of the window that is being traced, or `NO_WINDOW`.
    window: usize,
    /// Its objects that are still to be traced, a bit for each granule.
    window_bits: u64,
    /// Much of the window that was traced last was grey.
    was_dense: bool,
    /// The sizes of all the slots it has traced with something in them to trace, in bytes.
    scanned_bytes: u64,
    /// How many parts of large slices were among them.
    traced_parts: u32,
    marker: PhantomData<*mut ()>,
}

impl<'a> Tracer<'a> {
    pub(crate) fn new(region: &'a Region, black: u8) -> Self {
        Self {
            region,
            marks: region.marks(),
            black,
            memory: LockMemory::Remembers,
            passed_by: false,
            keeps_all: false,
            weak_maps: Vec::new(),
            stack: Vec::new(),
            window: NO_WINDOW,
            window_bits: 0,
            was_dense: false,
            scanned_bytes: 0,
            traced_parts: 0,
            marker: PhantomData,
        }
    }

    /// One with that on its stack.
    pub(crate) fn with_stack(region: &'a Region, black: u8, stack: Vec<Grey>) -> Self {
        Self { stack, ..Self::new(region, black) }
    }

    /// One for a barrier, which shades what it is told of. That it passes by a lock need not be noted: only a forgotten guard can
    /// have one that lies in what a barrier shades, which is in its mutation's hands alone.
    pub(crate) fn shading(region: &'a Region, black: u8, mode: Mode) -> Self {
        let memory = if mode == Mode::Arm { LockMemory::Forgets } else { LockMemory::Remembers };
        Self { memory, ..Self::new(region, black) }
    }

    /// One that marks nothing, and records every pointer for [`take_reported`](Self::take_reported).
    pub(crate) fn inspecting(region: &'a Region) -> Self {
        Self { memory: LockMemory::Keeps, ..Self::new(region, INSPECTING) }
    }

    /// From now on, whether it keeps what it marks though there be nothing to trace in it.
    pub(crate) fn keep_all(&mut self, keeps_all: bool) {
        self.keeps_all = keeps_all;
    }

    /// Whether it records only what it is told of.
    pub(crate) fn is_inspecting(&self) -> bool {
        self.black == INSPECTING
    }

    /// Whether the object at an address is marked.
    pub(crate) fn is_marked(&self, address: usize) -> bool {
        // Relaxed: as in `visit_start`.
        self.region.mark(address).load(Ordering::Relaxed) == self.black
    }

    /// Notes that it has come to a weak map, as the first in this cycle.
    pub(crate) fn note_weak_map(&mut self, number: u64) {
        self.weak_maps.push(number);
    }

    /// The weak maps it has come to since this was last asked.
    pub(crate) fn take_weak_maps(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.weak_maps)
    }

    /// One of the objects, or parts of large ones, that are marked, and not traced yet.
    pub(crate) fn pop(&mut self) -> Option<Grey> {
        self.stack.pop()
    }

    /// Adds objects that are marked, and not traced yet; gives what room that leaves over.
    pub(crate) fn add_grey(&mut self, mut batch: Vec<Grey>) -> Vec<Grey> {
        if self.stack.is_empty() {
            std::mem::swap(&mut self.stack, &mut batch);
        } else {
            self.stack.append(&mut batch);
        }
        batch
    }

    /// How many bytes the slots have that it has traced so far.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn scanned_bytes(&self) -> u64 {
        self.scanned_bytes
    }

    /// How many parts of large slices were among what it has traced.
    pub(crate) fn traced_parts(&self) -> u32 {
        self.traced_parts
    }

    /// What is marked, and not traced yet.
    pub(crate) fn take_grey(&mut self) -> Vec<Grey> {
        std::mem::take(&mut self.stack)
    }

    /// What locks it comes to do with what they remember.
    pub(crate) fn lock_memory(&self) -> LockMemory {
        self.memory
    }

    /// Whether it has passed by a lock since this was last asked.
    pub(crate) fn take_passed_by(&mut self) -> bool {
        std::mem::take(&mut self.passed_by)
    }

    /// What was reported since this was last asked; of a tracer that inspects.
    pub(crate) fn take_reported(&mut self) -> Vec<NonNull<u8>> {
        debug_assert_eq!(self.black, INSPECTING);
        self.stack.drain(..).map(|Grey(object)| object).collect()
    }

    /// Passes by a lock that somebody has.
    pub(crate) fn pass_by(&mut self) {
        self.passed_by = true;
    }

    /// The colour it marks with.
    pub(crate) fn black(&self) -> u8 {
        self.black
    }

    /// Reports a pointer.
    #[inline(always)]
    pub fn visit<T: ?Sized + Object>(&mut self, gc: Gc<'_, T>) {
        self.visit_start(gc.start(), T::NEEDS_TRACE);
    }

    /// Compiles for types without a `Drop` of their own only; `#[derive(Trace)]` calls it.
    ///
    /// Inherent, and by `&mut self`, as `trace` has its tracer: so no trait's method can be taken for it.
    #[doc(hidden)]
    #[inline(always)]
    pub fn check_drop<T: MustNotImplementDrop<Dropper = ()>>(&mut self) {}

    /// Compiles for values only that are `'static`, and hence hold no [`Gc`]; `#[derive(Trace)]` asks it of fields that are not traced.
    ///
    /// Inherent, as [`check_drop`](Self::check_drop). By `&mut`, so that the type asked about is the value's own, and no supertype of it.
    #[doc(hidden)]
    #[inline(always)]
    pub fn check_static<T: 'static>(&mut self, _: &mut T) {}

    /// Marks an object; one that was white is to be traced, if its type has pointers.
    #[inline(always)]
    pub(crate) fn visit_start(&mut self, object: NonNull<u8>, needs_trace: bool) {
        debug_assert!(self.region.contains(object.addr().get()), "a pointer into this heap");
        // SAFETY: the object lies in the region, of which these are the mark bytes, and which outlives the tracer.
        let mark = unsafe { self.marks.get(object.addr().get() / GRANULE) };
        // Relaxed: a mark byte orders nothing. Two markers may both find it white and both trace the object.
        if mark.load(Ordering::Relaxed) != self.black {
            if self.black == INSPECTING {
                return self.stack.push(Grey(object));
            }
            mark.store(self.black, Ordering::Relaxed);
            if needs_trace || self.keeps_all {
                let offset = object.addr().get().wrapping_sub(self.window);
                if offset < WINDOW_BYTES {
                    self.window_bits |= 1 << (offset / GRANULE);
                } else {
                    self.stack.push(Grey(object));
                }
            }
        }
    }

    /// Marks an object found through a root or a pin, whose type is known from its span.
    pub(crate) fn visit_root(&mut self, object: NonNull<u8>) {
        self.visit_start(object, true);
    }

    /// Traces one object.
    #[inline(always)]
    pub(crate) fn scan(&mut self, Grey(object): Grey) {
        let span = self.region.span_of(object);
        let Some(info) = span.info() else { return self.scan_part(object) };
        let bytes = span.slot_bytes();
        if bytes > SPLIT_ABOVE && info.trace_part.is_some() {
            return self.scan_part(object);
        }
        if let Some(trace) = info.trace {
            self.scanned_bytes += bytes as u64;
            // SAFETY: the object is grey, hence allocated and initialised (the pointer to it was published
            // after that), of the type of its span, and it cannot be freed before the mark ends.
            unsafe { self.trace_one(trace, object) };
        }
    }

    /// Has a trace function report the pointers of one object; what it leads to goes onto the stack.
    ///
    /// # Safety
    /// The object is initialised, of the function's type, and not freed meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn trace_one(&mut self, trace: TraceWindow, object: NonNull<u8>) {
        debug_assert_eq!((self.window, self.window_bits), (NO_WINDOW, 0), "one at a time");
        (self.window, self.window_bits) = (NO_WINDOW, 1);
        // SAFETY: the one bit stands for the object, by the caller's promise; and while there is no window, none is added.
        unsafe { trace(object, self) };
    }

    /// Has what begins in a large slice at these offsets traced later, or by others.
    fn split(&mut self, start: NonNull<u8>, offsets: Range<usize>, bytes: usize) {
        let offsets = offsets.step_by(bytes).rev();
        self.stack.extend(offsets.map(|offset| Grey(self.region.pointer(start.addr().get() + offset))));
    }

    /// Traces the elements of a large slice that begin in one part of it; the first part of a unit has the others traced later, that of a group the
    /// other units, and that of the slice the other groups.
    #[cold]
    fn scan_part(&mut self, part: NonNull<u8>) {
        let unit = self.region.unit_of(part.addr().get());
        let first = unit - self.region.span(unit).back();
        let span = self.region.span(first);
        let info = span.info();
        if part.addr().get().is_multiple_of(SPAN_BYTES) {
            let (before, bytes) = ((unit - first) * SPAN_BYTES, span.slot_bytes());
            if before == 0 {
                self.split(part, GROUP_BYTES..bytes, GROUP_BYTES);
            }
            if before.is_multiple_of(GROUP_BYTES) {
                self.split(part, SPAN_BYTES..GROUP_BYTES.min(bytes - before), SPAN_BYTES);
            }
            self.split(part, PART_BYTES..SPAN_BYTES, PART_BYTES);
        }
        debug_assert!(info.is_some(), "a grey object lies in a span in use");
        self.scanned_bytes += PART_BYTES as u64;
        self.traced_parts = self.traced_parts.saturating_add(1);
        if let Some(trace_part) = info.and_then(|info| info.trace_part) {
            let object = self.region.unit_start(first);
            let offset = part.addr().get() - object.addr().get();
            // SAFETY: as in `scan`, for the object in whose span the part lies.
            unsafe { trace_part(object, offset..offset + PART_BYTES, self) };
        }
    }
}
