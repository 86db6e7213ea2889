//! A header and a slice in one object.

use std::alloc::Layout;
use std::mem::offset_of;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::slice;
use super::{Gc, Object};
use crate::error::OutOfMemory;
use crate::mutator::Mutator;
use crate::panics::caught;
use crate::trace::{Allocate, Trace, Tracer, TypeInfo, has_size, owned_by_all, owns_memory};
use crate::verify::words::Inspector;

/// A header and the elements that follow it, in one object: a `Gc<'gc, HeaderSlice<H, [T]>>` is one word.
///
/// Made by [`Mutator::alloc_header_slice`]: a function's code behind its constants, an array's elements behind its shape.
///
/// ```
/// use linchpin::{Gc, GcCell, HeaderSlice, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Shape {
///     name: String,
/// }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| {
///     let header = Shape { name: "a pair".to_owned() };
///     let pair = mu.alloc_header_slice(header, 2, |index| GcCell::new(mu.alloc(index)));
///     assert_eq!((pair.header.name.as_str(), pair.slice.len()), ("a pair", 2));
///     pair.slice[0].store(mu, mu.alloc(7));
///     assert_eq!(pair.slice.iter().map(|cell| *cell.load().unwrap()).sum::<usize>(), 8);
/// });
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct HeaderSlice<H, S: ?Sized> {
    /// What comes first.
    pub header: H,
    /// The elements, `[T]`.
    pub slice: S,
}

/// How such an object is laid out: like a slice, it starts with its length.
#[repr(C)]
struct Whole<H, T> {
    length: usize,
    value: HeaderSlice<H, [T; 0]>,
}

const fn value_offset<H, T>() -> usize {
    offset_of!(Whole<H, T>, value)
}

/// Where in the object the elements begin.
const fn elements_offset<H, T>() -> usize {
    value_offset::<H, T>() + offset_of!(HeaderSlice<H, [T; 0]>, slice)
}

/// The size and alignment of an object of `length` elements; `None` if no address space could hold it.
fn layout_of<H, T>(length: usize) -> Option<Layout> {
    let start = Layout::new::<Whole<H, T>>();
    let bytes = size_of::<T>().checked_mul(length)?.checked_add(elements_offset::<H, T>())?;
    // There is room where the value begins, even if it takes none: its address must be the object's and not the next one's.
    let bytes = bytes.max(value_offset::<H, T>() + 1);
    Layout::from_size_align(bytes, start.align()).ok().map(|layout| layout.pad_to_align())
}

/// # Safety
/// The memory at `start` is that of such an object, with its length written.
#[inline(always)]
unsafe fn value_at<H, T>(start: NonNull<u8>) -> NonNull<HeaderSlice<H, [T]>> {
    // SAFETY: the caller's promise.
    let (value, length) = unsafe { (start.add(value_offset::<H, T>()), slice::length(start)) };
    // A pointer to a slice has the same layout as one to what ends in a slice.
    let value = ptr::slice_from_raw_parts_mut(value.cast::<T>().as_ptr(), length) as *mut HeaderSlice<H, [T]>;
    // SAFETY: it was not null before.
    unsafe { NonNull::new_unchecked(value) }
}

// SAFETY: `Branded` is that of the header and the elements; both have the same layout.
unsafe impl<H: Trace, T: Trace> Object for HeaderSlice<H, [T]> {
    type Branded<'b> = HeaderSlice<<H as Trace>::Branded<'b>, [<T as Trace>::Branded<'b>]>;
    const NEEDS_TRACE: bool = H::NEEDS_TRACE || T::NEEDS_TRACE;
    const INFO: &'static TypeInfo = &TypeInfo::of_header_slice::<H, T>();

    #[inline(always)]
    unsafe fn at(start: NonNull<u8>) -> NonNull<Self> {
        // SAFETY: the caller's promise.
        unsafe { value_at(start) }
    }
}

impl TypeInfo {
    /// The constant for headers with slices.
    const fn of_header_slice<H: Trace, T: Trace>() -> Self {
        let needs_trace = <HeaderSlice<H, [T]> as Object>::NEEDS_TRACE;
        let needs_drop = std::mem::needs_drop::<H>() || std::mem::needs_drop::<T>();
        Self::of_parts(
            Layout::new::<HeaderSlice<H, [T; 0]>>(),
            if needs_trace { Some(trace::<H, T>) } else { None },
            if needs_drop { Some(drop_all::<H, T>) } else { None },
            if owns_memory::<H>() || owns_memory::<T>() { Some(owned::<H, T>) } else { None },
            inspect::<H, T>,
            std::any::type_name::<HeaderSlice<H, [T]>>,
        )
        .in_parts(if T::NEEDS_TRACE && has_size::<T>() { Some(trace_part::<H, T>) } else { None })
    }
}

/// As a [`TraceWindow`](crate::trace::TraceWindow).
unsafe fn trace<H: Trace, T: Trace>(start: NonNull<u8>, tracer: &mut Tracer<'_>) -> usize {
    let trace = |object: NonNull<u8>, tracer: &mut Tracer<'_>| {
        // SAFETY: the caller's promise as to each object: it is of this type.
        let value = unsafe { value_at::<H, T>(object).as_ref() };
        value.header.trace(tracer);
        if const { has_size::<T>() } {
            value.slice.iter().for_each(|element| element.trace(tracer));
        }
    };
    // SAFETY: the caller's promise.
    unsafe { tracer.each_of_window(start, None, trace) }
}

/// As [`slice::trace_part`]; the header belongs to what has the object's beginning.
unsafe fn trace_part<H: Trace, T: Trace>(start: NonNull<u8>, bytes: Range<usize>, tracer: &mut Tracer<'_>) {
    // SAFETY: the marker calls this for an initialised object of this type.
    let value = unsafe { value_at::<H, T>(start).as_ref() };
    if bytes.start == 0 {
        value.header.trace(tracer);
    }
    for element in slice::beginning_in(bytes, elements_offset::<H, T>(), &value.slice) {
        element.trace(tracer);
    }
}

unsafe fn owned<H: Trace, T: Trace>(start: NonNull<u8>) -> usize {
    // SAFETY: the sweeper calls this for a dead, initialised object of this type, before it drops it.
    let value = unsafe { value_at::<H, T>(start).as_ref() };
    let header = if const { owns_memory::<H>() } { value.header.owned_bytes() } else { 0 };
    let elements = if const { owns_memory::<T>() } { owned_by_all(&value.slice) } else { 0 };
    header.saturating_add(elements)
}

unsafe fn inspect<H: Trace, T: Trace>(start: NonNull<u8>, inspector: &mut Inspector<'_>) {
    // SAFETY: the verifier calls this for an initialised object of this type.
    let value = unsafe { value_at::<H, T>(start).as_ref() };
    value.header.inspect(inspector);
    if const { has_size::<T>() } {
        value.slice.iter().for_each(|element| element.inspect(inspector));
    }
}

/// Drops the header and each element, once. If some panic, the first of the panics goes on when all are dropped.
unsafe fn drop_all<H, T>(start: NonNull<u8>) {
    // SAFETY: the sweeper calls this once for a dead, initialised object of this type.
    let value = unsafe { value_at::<H, T>(start) }.as_ptr();
    // SAFETY: as above; the header is dropped here only.
    let header = caught(|| unsafe { (&raw mut (*value).header).drop_in_place() });
    // SAFETY: as above, for the elements.
    let elements = caught(|| unsafe { slice::drop_each(NonNull::new_unchecked(&raw mut (*value).slice)) });
    slice::resume_first(header, elements);
}

impl<'gc> Mutator<'gc> {
    /// Allocates a header and a slice in one object, whose elements `make` makes, called with each index in turn. If it panics,
    /// what there is by then is dropped later, by the collector.
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn alloc_header_slice<H: Allocate<'gc>, T: Allocate<'gc>>(
        &self,
        header: H,
        length: usize,
        make: impl FnMut(usize) -> T,
    ) -> Gc<'gc, HeaderSlice<H, [T]>> {
        let reserved = self.reserve_header_slice::<H, T>(length);
        let start = reserved.unwrap_or_else(|reason| self.out_of_memory(reason.requested_bytes));
        // SAFETY: a fresh object with room for so much.
        unsafe { self.fill_header_slice(start, header, length, make) }
    }

    /// Allocates a header and a slice in one object, whose elements `make` makes, called with each index in turn.
    ///
    /// # Errors
    /// If the region is full; `make` is not called then, and the header is dropped.
    ///
    /// # Panics
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_header_slice<H: Allocate<'gc>, T: Allocate<'gc>>(
        &self,
        header: H,
        length: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, HeaderSlice<H, [T]>>, OutOfMemory> {
        let start = self.reserve_header_slice::<H, T>(length)?;
        // SAFETY: a fresh object with room for so much.
        Ok(unsafe { self.fill_header_slice(start, header, length, make) })
    }

    fn reserve_header_slice<H: Trace, T: Trace>(&self, length: usize) -> Result<NonNull<u8>, OutOfMemory> {
        self.reserve_layout(<HeaderSlice<H, [T]> as Object>::INFO, layout_of::<H, T>(length))
    }

    /// # Safety
    /// `start` is a fresh object with room for `length` elements behind the header. Nobody looks into it before this has returned.
    unsafe fn fill_header_slice<H: Allocate<'gc>, T: Allocate<'gc>>(
        &self,
        start: NonNull<u8>,
        header: H,
        length: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Gc<'gc, HeaderSlice<H, [T]>> {
        let _busy = self.local().busy();
        // SAFETY: the caller's promise. The length is raised behind each element, so that a panic in `make` leaves a valid, shorter
        // slice.
        unsafe {
            slice::set_length(start, 0);
            let value = value_at::<H, T>(start).as_ptr();
            (&raw mut (*value).header).write(header);
            if const { owns_memory::<H>() } {
                // Not before there is a header to drop, since it may unwind.
                self.note_owned((*value).header.owned_bytes());
            }
            let elements = (&raw mut (*value).slice).cast::<T>();
            for index in 0..length {
                let element = make(index);
                elements.add(index).write(element);
                slice::set_length(start, index + 1);
                if const { owns_memory::<T>() } {
                    self.note_owned(owned_by_all(std::slice::from_ref(&*elements.add(index))));
                }
            }
            Gc::from_start(start)
        }
    }
}
