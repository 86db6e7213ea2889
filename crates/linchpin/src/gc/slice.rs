//! Slices and strings: the length stands in front of the elements, so that a pointer to them is one word.
//!
//! The object starts with a `usize`, the number of initialised elements; the first element follows at the next
//! multiple of its alignment. The length is written last when a slice is built, so that a half-built slice (its
//! builder panicked) is a valid, shorter one.

use std::alloc::Layout;
use std::mem::offset_of;
use std::ops::Range;
use std::panic::resume_unwind;
use std::ptr::NonNull;

use super::Object;
use crate::panics::{Payload, caught, discard};
use crate::trace::{Trace, Tracer, TypeInfo};

#[repr(C)]
struct WithHeader<T> {
    length: usize,
    first: [T; 0],
}

/// How far behind the start of the object its elements begin, in bytes.
#[inline(always)]
pub(crate) const fn elements_offset<T>() -> usize {
    offset_of!(WithHeader<T>, first)
}

/// The size and alignment of a slice object of `length` elements; `None` if no address space could hold it.
///
/// There is room where the elements begin, even if they take none: their address, which a pin hands out, must be the object's
/// and not the next one's.
pub(crate) fn layout_of_slice<T>(length: usize) -> Option<Layout> {
    let (layout, offset) = Layout::new::<usize>().extend(Layout::array::<T>(length).ok()?).ok()?;
    debug_assert_eq!(offset, elements_offset::<T>());
    if layout.size() > offset {
        return Some(layout);
    }
    // As much as the alignment, so that the size stays a multiple of it, by which slots are chosen.
    Layout::from_size_align(offset.checked_add(align_of::<T>())?, layout.align()).ok()
}

/// Reads the length of the slice object at `start`.
///
/// # Safety
/// There is a slice object with its length written.
#[inline(always)]
pub(crate) unsafe fn length(start: NonNull<u8>) -> usize {
    // SAFETY: the caller's promise; the start of an object is aligned to a word of 8 bytes, as a `usize` is.
    unsafe { start.cast::<usize>().read() }
}

/// Writes the length of the slice object at `start`.
///
/// # Safety
/// The memory is a slice object's, not shared yet, with so many elements initialised.
#[inline(always)]
pub(crate) unsafe fn set_length(start: NonNull<u8>, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { start.cast::<usize>().write(length) }
}

/// The address of the first element.
///
/// # Safety
/// The memory at `start` is that of a slice object of `T`s.
#[inline(always)]
pub(crate) unsafe fn elements<T>(start: NonNull<u8>) -> NonNull<T> {
    // SAFETY: the object has room for its header and padding at least.
    unsafe { start.add(elements_offset::<T>()) }.cast()
}

/// # Safety
/// As for [`Object::at`].
#[inline(always)]
unsafe fn slice_at<T>(start: NonNull<u8>) -> NonNull<[T]> {
    // SAFETY: the caller's promise.
    unsafe { NonNull::slice_from_raw_parts(elements::<T>(start), length(start)) }
}

// SAFETY: `Branded` is that of the elements; both have the same layout.
unsafe impl<T: Trace> Object for [T] {
    type Branded<'b> = [<T as Trace>::Branded<'b>];
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const INFO: &'static TypeInfo = &TypeInfo::of_slice::<T>();

    #[inline(always)]
    unsafe fn at(start: NonNull<u8>) -> NonNull<[T]> {
        // SAFETY: the caller's promise.
        unsafe { slice_at(start) }
    }
}

// SAFETY: a `str` holds no pointers.
unsafe impl Object for str {
    type Branded<'b> = str;
    const NEEDS_TRACE: bool = false;
    const INFO: &'static TypeInfo = <[u8] as Object>::INFO;

    #[inline(always)]
    unsafe fn at(start: NonNull<u8>) -> NonNull<str> {
        // SAFETY: the caller's promise: the bytes were those of a `str`, whose pointer has the same layout.
        let bytes = unsafe { slice_at::<u8>(start) };
        // The cast of a slice pointer to a `str` pointer keeps address and length.
        let text = bytes.as_ptr() as *mut str;
        // SAFETY: it was not null before.
        unsafe { NonNull::new_unchecked(text) }
    }
}

/// Reports the pointers of the elements of slice objects, as a [`TraceWindow`](crate::trace::TraceWindow).
pub(crate) unsafe fn trace_slices<T: Trace>(start: NonNull<u8>, tracer: &mut Tracer<'_>) -> usize {
    let trace = |object: NonNull<u8>, tracer: &mut Tracer<'_>| {
        // SAFETY: the caller's promise as to each object: it is a slice object of `T`s.
        unsafe { slice_at::<T>(object).as_ref() }.iter().for_each(|element| element.trace(tracer));
    };
    // SAFETY: the caller's promise.
    unsafe { tracer.each_of_window(start, None, trace) }
}

/// Reports the pointers of the elements that begin in a range of the slice object's bytes. Such ranges side by side have each element
/// once.
pub(crate) unsafe fn trace_part<T: Trace>(start: NonNull<u8>, bytes: Range<usize>, tracer: &mut Tracer<'_>) {
    // SAFETY: the marker calls this for an initialised slice object of `T`s.
    let elements = unsafe { slice_at::<T>(start).as_ref() };
    for element in beginning_in(bytes, elements_offset::<T>(), elements) {
        element.trace(tracer);
    }
}

/// The elements that begin in a range of the bytes of an object, in which the first one is at an offset. They have a size.
pub(crate) fn beginning_in<T>(bytes: Range<usize>, first: usize, elements: &[T]) -> &[T] {
    let first_from = |offset: usize| offset.saturating_sub(first).div_ceil(size_of::<T>()).min(elements.len());
    &elements[first_from(bytes.start)..first_from(bytes.end)]
}

/// How many bytes outside the heap a slice object's elements own.
pub(crate) unsafe fn owned_by_elements<T: Trace>(start: NonNull<u8>) -> usize {
    // SAFETY: the sweeper calls this for a dead, initialised slice object of `T`s, before it drops it.
    let elements = unsafe { slice_at::<T>(start).as_ref() };
    elements.iter().fold(0, |bytes: usize, element| bytes.saturating_add(element.owned_bytes()))
}

/// Drops a slice object's elements.
pub(crate) unsafe fn drop_elements<T>(start: NonNull<u8>) {
    // SAFETY: the sweeper calls this once for a dead, initialised slice object of `T`s.
    unsafe { drop_each(slice_at::<T>(start)) }
}

/// Drops elements, each of them once. If some panic, the first of the panics goes on when all are dropped; to drop the slice as a whole
/// would end the process at the second.
///
/// # Safety
/// They are initialised, and nobody reaches them any more.
pub(crate) unsafe fn drop_each<T>(slice: NonNull<[T]>) {
    let mut next = 0;
    let mut outcome = Ok(());
    while next != slice.len() {
        let this = caught(|| {
            while next != slice.len() {
                let element = next;
                next += 1;
                // SAFETY: an initialised element, which nobody reaches; each index comes once.
                unsafe { slice.cast::<T>().add(element).drop_in_place() };
            }
        });
        outcome = first_of(outcome, this);
    }
    resume_first(outcome, Ok(()));
}

/// The first panic of two; another one goes no further.
pub(crate) fn first_of(first: Result<(), Payload>, second: Result<(), Payload>) -> Result<(), Payload> {
    match (first, second) {
        (Err(payload), second) => {
            if let Err(another) = second {
                discard(another);
            }
            Err(payload)
        }
        (Ok(()), second) => second,
    }
}

/// Lets the first panic of two go on.
pub(crate) fn resume_first(first: Result<(), Payload>, second: Result<(), Payload>) {
    if let Err(payload) = first_of(first, second) {
        resume_unwind(payload);
    }
}
