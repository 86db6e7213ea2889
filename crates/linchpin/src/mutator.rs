//! What a mutation can do.

mod slices;

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::ptr::NonNull;

use crate::collector::NoThread;
use crate::error::{AllocError, OutOfMemory};
use crate::gc::{Brand, Gc, Object, Root};
use crate::heap::Core;
use crate::memory::side::View;
use crate::memory::size_class::is_odd;
use crate::memory::{GRANULE, LARGE_BYTES, SPAN_BYTES, size_class};
use crate::processor::phase::Mode;
use crate::processor::thread::Frame;
use crate::processor::{Local, Processor};
use crate::sync::{AtomicU8, Ordering};
use crate::trace::{Allocate, Trace, TypeInfo, owns_memory, plain};
use crate::verify::settings::Verify;

/// The right to work on a heap, for the length of one [`mutate`](crate::Heap::mutate) call.
///
/// It stands for the processor the thread holds, so it cannot leave the thread or the call. Its lifetime `'gc` is the
/// brand of every pointer it hands out.
pub struct Mutator<'gc> {
    frame: Frame,
    /// The mark bytes, at hand for allocations.
    marks: View<AtomicU8>,
    brand: Brand<'gc>,
}

/// Where an object of a type goes.
#[derive(Clone, Copy)]
struct Place {
    info: &'static TypeInfo,
    /// The same, but for types that share spans the type itself: where they go in a heap that verifies itself.
    own: &'static TypeInfo,
    /// The size of the slot in bytes; for a large object the size of the object.
    slot_bytes: usize,
    large: bool,
    /// All objects of the type have this slot size.
    one_size: bool,
}

impl Place {
    /// The place of a value of type `T`, known at compile time but for the address of the type's constant.
    #[inline(always)]
    fn of<T: Trace>() -> Self {
        const { assert!(align_of::<T>() <= SPAN_BYTES, "an alignment above 64 KiB is not supported") };
        let slot_bytes = const { size_class::slot_bytes_of::<T>() };
        let info = <T as Object>::INFO;
        if const { slot_bytes_is_large::<T>() } {
            return Self { info, own: info, slot_bytes, large: true, one_size: true };
        }
        if const { TypeInfo::of::<T>().is_plain() && align_of::<T>() <= GRANULE } {
            return Self {
                info: plain(const { plain_class::<T>() }),
                own: info,
                slot_bytes: const { size_class::slot_bytes(plain_class::<T>()) },
                large: false,
                one_size: true,
            };
        }
        Self { info, own: info, slot_bytes, large: false, one_size: true }
    }

    /// The place of a slice of so many bytes, header included.
    fn of_slice(info: &'static TypeInfo, bytes: usize, align: usize) -> Self {
        if bytes > LARGE_BYTES || align > LARGE_BYTES {
            return Self { info, own: info, slot_bytes: bytes, large: true, one_size: false };
        }
        // What is traced and has slots of several sizes has none that are odd: its trace function does not know them.
        let bytes = if info.is_plain() { bytes } else { bytes.next_multiple_of(GRANULE) };
        let class = size_class::class_of(bytes);
        let slot_bytes = size_class::slot_bytes(class);
        if align > GRANULE {
            // The size is a multiple of the alignment, and so is every class that such a size is rounded up to.
            debug_assert!(slot_bytes.is_multiple_of(align));
            return Self { info, own: info, slot_bytes, large: false, one_size: false };
        }
        if info.is_plain() {
            return Self { info: plain(class), own: info, slot_bytes, large: false, one_size: true };
        }
        Self { info, own: info, slot_bytes, large: false, one_size: false }
    }
}

const fn slot_bytes_is_large<T: Trace>() -> bool {
    size_class::slot_bytes_of::<T>() > LARGE_BYTES
}

/// The size class of a plain type; 0 for large ones, which have none.
const fn plain_class<T: Trace>() -> usize {
    if slot_bytes_is_large::<T>() {
        return 0;
    }
    size_class::class_of(size_class::slot_bytes_of::<T>())
}

impl<'gc> Mutator<'gc> {
    #[inline(always)]
    pub(crate) fn new(core: &Core, processor: &Processor) -> Self {
        Self { frame: Frame::new(core, processor), marks: core.memory.region.marks(), brand: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> &Core {
        // SAFETY: `mutate` borrows the heap for as long as the mutator exists.
        unsafe { &*self.frame.core }
    }

    #[inline(always)]
    pub(crate) fn processor(&self) -> &Processor {
        // SAFETY: processors live as long as the heap, which `mutate` borrows.
        unsafe { &*self.frame.processor }
    }

    #[inline(always)]
    pub(crate) fn local(&self) -> &Local {
        // SAFETY: the mutation holds the processor, and the mutator cannot leave its thread.
        unsafe { self.processor().local() }
    }

    #[inline(always)]
    pub(crate) fn mode(&self) -> Mode {
        self.local().mode()
    }

    /// Shades an object.
    ///
    /// # Safety
    /// `object` starts an object of this heap that the mutation has in hand.
    #[cold]
    pub(crate) unsafe fn shade(&self, object: NonNull<u8>) {
        // SAFETY: the caller's promise; the mutation holds the processor.
        unsafe { self.local().shade(self.core(), object) };
    }

    /// Allocates an object.
    ///
    /// ```
    /// # use linchpin::Heap;
    /// # let heap = Heap::new();
    /// heap.mutate(|mu| assert_eq!(*mu.alloc(7_u64), 7));
    /// ```
    ///
    /// # Panics
    /// If the region is full ([`try_alloc`](Self::try_alloc) returns that as an error), or the collector's thread has
    /// to be started and cannot be.
    #[inline(always)]
    pub fn alloc<T: Allocate<'gc>>(&self, value: T) -> Gc<'gc, T> {
        match self.reserve(Place::of::<T>()) {
            // SAFETY: a fresh slot of the type's size and alignment.
            Some(start) => unsafe { self.initialise(start, value) },
            None => self.out_of_memory(size_of::<T>()),
        }
    }

    /// Allocates an object, or gives the value back.
    ///
    /// # Errors
    /// If the region is full.
    ///
    /// # Panics
    /// If the collector's thread has to be started and cannot be.
    #[inline]
    pub fn try_alloc<T: Allocate<'gc>>(&self, value: T) -> Result<Gc<'gc, T>, AllocError<T>> {
        match self.reserve(Place::of::<T>()) {
            // SAFETY: a fresh slot of the type's size and alignment.
            Some(start) => Ok(unsafe { self.initialise(start, value) }),
            None => Err(AllocError { value, reason: self.no_room_for(size_of::<T>()) }),
        }
    }

    /// # Safety
    /// `start` is a fresh slot for a `T`, from `reserve`.
    #[inline(always)]
    unsafe fn initialise<T: Allocate<'gc>>(&self, start: NonNull<u8>, value: T) -> Gc<'gc, T> {
        // SAFETY: the caller's promise.
        let gc: Gc<'gc, T> = unsafe {
            start.cast::<T>().write(value);
            Gc::from_start(start)
        };
        if const { owns_memory::<T>() } {
            // Not before the object is whole, since it may unwind.
            // SAFETY: the object is whole.
            self.note_owned(unsafe { start.cast::<T>().as_ref() }.owned_bytes());
        }
        gc
    }

    /// Counts what a new object owns outside the heap.
    #[inline]
    pub(crate) fn note_owned(&self, bytes: usize) {
        if self.local().note_outside(bytes, true) {
            self.report_outside();
        }
    }

    #[cold]
    #[inline(never)]
    fn report_outside(&self) {
        self.report_allocated(false).unwrap_or_else(|refused| refused.panic());
    }

    /// Tells the collector of memory outside the heap that is kept by an object and that it does not see: what comes to be behind a
    /// lock, or is allocated in C. What an object owns when it is allocated, a `Vec` or a `String` in a field, it sees by itself
    /// ([`Trace::owned_bytes`]).
    ///
    /// The bytes count as allocated, so that a cycle starts as if they were in the heap. They do not count as live, as nobody says when
    /// they are freed: a heap of small objects that keep much by such means has cycles the more often.
    ///
    /// ```
    /// # use linchpin::{GcMutex, Heap};
    /// # let heap = Heap::new();
    /// heap.mutate(|mu| {
    ///     let log = mu.alloc(GcMutex::new(Vec::<u64>::new()));
    ///     log.lock(mu).reserve(1000);
    ///     mu.report_external(8000);
    /// });
    /// ```
    ///
    /// # Panics
    /// If the collector's thread has to be started and cannot be.
    pub fn report_external(&self, bytes: usize) {
        if self.local().note_outside(bytes, false) {
            self.report_outside();
        }
    }

    /// A fresh slot. It carries the colour of new objects already. Nobody looks into it before a pointer to it is published,
    /// a pin of it is seen, or this mutation has ended; the first two are releases, after it was initialised.
    #[inline(always)]
    fn reserve(&self, place: Place) -> Option<NonNull<u8>> {
        if place.large {
            return self.reserve_large(place.info, place.slot_bytes);
        }
        let local = self.local();
        let Some(end) = local.runs.next(place.info, place.slot_bytes, place.one_size) else {
            return self.reserve_slow(place.info, place.own, place.slot_bytes);
        };
        // From the end, which is in a register already, not from the start, which the caller needs as it is.
        let granule = if is_odd(place.slot_bytes) {
            (end.addr().get() - place.slot_bytes) / GRANULE
        } else {
            end.addr().get() / GRANULE - place.slot_bytes / GRANULE
        };
        // SAFETY: the slot is one of this heap's region, which is there as long as the mutator.
        let mark = unsafe { self.marks.get(granule) };
        // Relaxed: who gets to see the object has synchronised with its publication.
        mark.store(local.birth_colour(), Ordering::Relaxed);
        // SAFETY: the slot ends at `end`, and a slot is not at address zero.
        Some(unsafe { NonNull::new_unchecked(end.as_ptr().wrapping_sub(place.slot_bytes)) })
    }

    #[cold]
    #[inline(never)]
    fn reserve_slow(&self, info: &'static TypeInfo, own: &'static TypeInfo, slot_bytes: usize) -> Option<NonNull<u8>> {
        let (core, local) = (self.core(), self.local());
        // What is not installed in the table comes back here each time.
        let every_time = core.config.debug.slow_allocations;
        if !every_time && let Some(start) = local.runs.next_displaced(info, slot_bytes) {
            self.give_birth_colour(start);
            return Some(start);
        }
        // First, since what it may give back is what the slot is looked for in.
        self.safepoint();
        let most_bytes = self.assist();
        let _busy = local.busy();
        // A span that types share has no name for its objects, and nothing to look through them with. The verifier needs both:
        // then no run is ever found by the name of such a span, and each type with it comes here each time.
        let is_verified = core.config.debug.verify != Verify::Off;
        let info = if is_verified { own } else { info };
        let memory = &core.memory;
        let most_bytes = most_bytes.min(self.longest_run());
        let start = local.runs.next_slow(memory, info, slot_bytes, !every_time, local.mode(), most_bytes);
        // Before the object is noted or coloured, since it may unwind.
        let reported = self.report_allocated(start.is_none()).and_then(|()| {
            if every_time { self.debug_allocation(start.map(|start| (start, slot_bytes))) } else { Ok(()) }
        });
        if let Err(refused) = reported {
            // The slot stays free, as its mark byte says; the run has counted it as allocated.
            memory.swept.freed_objects.fetch_add(u64::from(start.is_some()), Ordering::Relaxed);
            refused.panic();
        }
        let start = start?;
        self.give_birth_colour(start);
        Some(start)
    }

    /// Gives a fresh slot the colour of new objects, where it is not found from what `reserve` has at hand.
    #[inline(always)]
    fn give_birth_colour(&self, start: NonNull<u8>) {
        // Relaxed: as in `reserve`.
        self.core().memory.region.mark(start.addr().get()).store(self.local().birth_colour(), Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    fn reserve_large(&self, info: &'static TypeInfo, bytes: usize) -> Option<NonNull<u8>> {
        self.safepoint();
        self.assist();
        let _busy = self.local().busy();
        // Now, since it may unwind, which nothing may do once the object has its colour.
        self.report_allocated(false).unwrap_or_else(|refused| refused.panic());
        if self.core().config.debug.slow_allocations {
            self.debug_allocation(None).unwrap_or_else(|refused| refused.panic());
        }
        let local = self.local();
        let memory = &self.core().memory;
        // Slot size 0 stands for "one object a span".
        let class = memory.classes.class(info, 0);
        let units = bytes.div_ceil(SPAN_BYTES);
        let Some(unit) = memory.take_large_span(class, units, local.mode()) else {
            self.report_allocated(true).unwrap_or_else(|refused| refused.panic());
            return None;
        };
        let start = memory.region.unit_start(unit);
        self.give_birth_colour(start);
        class.give_back(unit, false);
        local.runs.count_large(units * SPAN_BYTES);
        // Now, since it may be large, and what it counts as depends on the mode. If it is time for a cycle, who allocates next asks for it.
        self.tell_of_allocated();
        Some(start)
    }

    /// What debug settings ask of each allocation. Before the object is noted or coloured, since it may unwind.
    #[cold]
    #[inline(never)]
    fn debug_allocation(&self, slot: Option<(NonNull<u8>, usize)>) -> Result<(), NoThread> {
        let core = self.core();
        if let Some((start, slot_bytes)) = slot {
            // SAFETY: the slot is fresh and this mutation's.
            unsafe { core.memory.check_poison(start, slot_bytes) };
        }
        let every = core.config.debug.collect_every;
        if every != 0 && self.local().is_time_to_collect(every) {
            return core.control.ask_for_growth(core);
        }
        Ok(())
    }

    /// Tells the pacer what was allocated, and asks for a cycle if it is time or the region is full.
    fn report_allocated(&self, region_is_full: bool) -> Result<(), NoThread> {
        let core = self.core();
        if let Some((owned, reported)) = self.local().untold_outside() {
            core.pace.allocated_outside(owned, reported);
        }
        if (self.tell_of_allocated() && self.mode() == Mode::Off) || region_is_full {
            return core.control.ask_for_growth(core);
        }
        core.control.start_early(core);
        Ok(())
    }

    /// Tells the pacer what was allocated; whether it is time for a cycle.
    fn tell_of_allocated(&self) -> bool {
        let core = self.core();
        let bytes = self.local().unreported_bytes();
        if self.mode() == Mode::Mark && !core.queue.may_assist() {
            core.pace.born_early(bytes);
        }
        core.pace.allocated(bytes)
    }

    #[cold]
    fn no_room_for(&self, bytes: usize) -> OutOfMemory {
        OutOfMemory { requested_bytes: bytes, region_bytes: self.core().memory.region.bytes() }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(crate) fn out_of_memory(&self, bytes: usize) -> ! {
        panic!("linchpin: {}", self.no_room_for(bytes))
    }

    /// A fresh object of a type whose size varies; `None` stands for one that no address space could hold.
    pub(crate) fn reserve_layout(
        &self,
        info: &'static TypeInfo,
        layout: Option<Layout>,
    ) -> Result<NonNull<u8>, OutOfMemory> {
        let layout = layout.ok_or_else(|| self.no_room_for(usize::MAX))?;
        assert!(layout.align() <= SPAN_BYTES, "linchpin: an alignment above 64 KiB is not supported");
        let place = Place::of_slice(info, layout.size(), layout.align());
        self.reserve(place).ok_or_else(|| self.no_room_for(layout.size()))
    }

    /// Makes a root: an owned handle that keeps the object alive outside mutations.
    pub fn root<T: ?Sized + Object>(&self, gc: Gc<'gc, T>) -> Root<T::Branded<'static>> {
        Root::new(self, gc.start())
    }

    /// Whether the object is pinned: a few loads of one cache line. Of an object that many processors have pinned it may take two looks at the counter of each.
    #[inline(always)]
    pub fn is_pinned<T: ?Sized + Object>(&self, gc: Gc<'gc, T>) -> bool {
        self.core().memory.region.is_pinned(gc.start().addr().get())
    }

    /// How many pins the object has.
    ///
    /// Exact: it had so many at a moment during the call. But where many threads pin and unpin one object all the time, so that no such moment is
    /// found, it may be a number that it never had; not 0, though, as [`is_pinned`](Self::is_pinned) is exact always.
    #[inline(always)]
    pub fn pin_count<T: ?Sized + Object>(&self, gc: Gc<'gc, T>) -> u32 {
        self.core().memory.region.pin_count(gc.start().addr().get())
    }
}

impl std::fmt::Debug for Mutator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutator").field("heap", &self.core().id).field("processor", &self.processor().index()).finish()
    }
}

/// An alignment above that of a span does not compile.
///
/// ```compile_fail
/// #[derive(linchpin::Trace)]
/// #[repr(align(0x2_0000))]
/// struct Object(u8);
///
/// linchpin::Heap::new().mutate(|mu| _ = mu.alloc(Object(1)));
/// ```
///
/// One that is the same does.
///
/// ```
/// #[derive(linchpin::Trace)]
/// #[repr(align(0x1_0000))]
/// struct Object(u8);
///
/// linchpin::Heap::new().mutate(|mu| _ = mu.alloc(Object(1)));
/// ```
#[cfg(doctest)]
struct AboveASpan;
