//! What a span knows of the type of its objects.

use std::alloc::Layout;
use std::ops::Range;
use std::ptr::NonNull;

use super::{Trace, Tracer};
use crate::gc::slice;
use crate::memory::{GRANULE, size_class};
use crate::verify::words::{self, Inspector};

/// Reports the pointers of objects: of each that the tracer's bits stand for, a granule a bit, counted from an address; those included that are noted
/// meanwhile. Gives how many they were.
///
/// # Safety
/// Each bit, and each that is noted meanwhile, stands for an object of the function's type, initialised and not freed as long as it runs. The tracer
/// notes what lies in its window, and there: so at the address is what the window begins with, all of which lies in one span; or there is no window, and the
/// one bit is that of the object at the address.
pub(crate) type TraceWindow = unsafe fn(NonNull<u8>, &mut Tracer<'_>) -> usize;

/// Reports the pointers in a range of an object's bytes.
pub(crate) type TracePart = unsafe fn(NonNull<u8>, Range<usize>, &mut Tracer<'_>);

/// A type as the collector sees it: one constant a type, known by its address.
pub struct TypeInfo {
    /// Size and alignment of a value (of an element, for a slice). Part of the constant also so that the constants of
    /// types whose functions happen to be the same code cannot be merged into one unless their slots are alike.
    layout: Layout,
    /// Reports the pointers of objects; `None` if they can have none.
    pub(crate) trace: Option<TraceWindow>,
    /// Reports the pointers of the elements of a slice that begin in a range of bytes, counted from the object's start; `None` if an
    /// object is traced as a whole, or not at all.
    pub(crate) trace_part: Option<TracePart>,
    /// Drops an object's value; `None` if there is nothing to drop.
    pub(crate) drop: Option<unsafe fn(NonNull<u8>)>,
    /// How many bytes outside the heap a value owns, asked before it is dropped; `None` if it owns none, or is not dropped.
    pub(crate) owned_bytes: Option<unsafe fn(NonNull<u8>) -> usize>,
    /// Looks at an object's words for the verifier; `None` for spans that types share (which they do not in a heap that
    /// verifies itself).
    pub(crate) inspect: Option<unsafe fn(NonNull<u8>, &mut Inspector<'_>)>,
    /// The objects are slices.
    is_slice: bool,
    /// The type's name.
    pub(crate) name: fn() -> &'static str,
}

impl TypeInfo {
    /// The constant for objects of type `T`.
    pub(crate) const fn of<T: Trace>() -> Self {
        Self {
            layout: Layout::new::<T>(),
            trace: if T::NEEDS_TRACE { Some(trace_values::<T>) } else { None },
            trace_part: None,
            drop: if std::mem::needs_drop::<T>() { Some(drop_value::<T>) } else { None },
            owned_bytes: if owns_memory::<T>() { Some(owned_by_value::<T>) } else { None },
            inspect: Some(words::inspect_value::<T>),
            is_slice: false,
            name: std::any::type_name::<T>,
        }
    }

    /// The constant for slices of `T`.
    pub(crate) const fn of_slice<T: Trace>() -> Self {
        Self {
            layout: Layout::new::<T>(),
            // In elements of size zero is no pointer; and there may be so many that nobody should look at each.
            trace: if T::NEEDS_TRACE && size_of::<T>() != 0 { Some(slice::trace_slices::<T>) } else { None },
            trace_part: if T::NEEDS_TRACE && size_of::<T>() != 0 { Some(slice::trace_part::<T>) } else { None },
            drop: if std::mem::needs_drop::<T>() { Some(slice::drop_elements::<T>) } else { None },
            owned_bytes: if owns_memory::<T>() { Some(slice::owned_by_elements::<T>) } else { None },
            inspect: Some(words::inspect_elements::<T>),
            is_slice: true,
            name: std::any::type_name::<[T]>,
        }
    }

    /// The constant for objects of another form, which knows how to look at them.
    pub(crate) const fn of_parts(
        layout: Layout,
        trace: Option<TraceWindow>,
        drop: Option<unsafe fn(NonNull<u8>)>,
        owned_bytes: Option<unsafe fn(NonNull<u8>) -> usize>,
        inspect: unsafe fn(NonNull<u8>, &mut Inspector<'_>),
        name: fn() -> &'static str,
    ) -> Self {
        Self { layout, trace, trace_part: None, drop, owned_bytes, inspect: Some(inspect), is_slice: false, name }
    }

    /// The same, for objects that may be traced a part at a time.
    pub(crate) const fn in_parts(self, trace_part: Option<TracePart>) -> Self {
        Self { trace_part, ..self }
    }

    /// The constant for plain types of a size class.
    const fn of_plain(class: usize) -> Self {
        let slot_bytes = size_class::slot_bytes(class);
        let layout = match Layout::from_size_align(
            slot_bytes,
            if size_class::is_odd(slot_bytes) { GRANULE / 2 } else { GRANULE },
        ) {
            Ok(layout) => layout,
            Err(_) => panic!("no slot size is near the end of the address space"),
        };
        Self {
            layout,
            trace: None,
            trace_part: None,
            drop: None,
            owned_bytes: None,
            inspect: None,
            is_slice: false,
            name: || "plain data",
        }
    }

    /// For a slice, the element that the byte at `offset` belongs to, and where in it; `None` in the header.
    pub(crate) fn element_offset(&self, offset: usize) -> Option<(usize, usize)> {
        let size = self.layout.size();
        // Where `slice::elements_offset` has them: behind the length, aligned.
        let offset = offset.checked_sub(size_of::<usize>().next_multiple_of(self.layout.align()))?;
        (self.is_slice && size != 0).then(|| (offset / size, offset % size))
    }

    /// Objects that are neither traced nor dropped share spans by size, unless the heap verifies itself.
    pub(crate) const fn is_plain(&self) -> bool {
        self.trace.is_none() && self.drop.is_none()
    }
}

/// The types of spans that plain types share, one a size class, so that the address tells the class.
static PLAIN: [TypeInfo; size_class::CLASSES] = {
    let mut types = [const { TypeInfo::of_plain(0) }; size_class::CLASSES];
    let mut class = 0;
    while class < size_class::CLASSES {
        types[class] = TypeInfo::of_plain(class);
        class += 1;
    }
    types
};

/// The size of the slots of a type's objects, if it is odd.
const fn odd_slots<T>() -> Option<usize> {
    let slot_bytes = size_class::slot_bytes_of::<T>();
    if size_class::is_odd(slot_bytes) { Some(slot_bytes) } else { None }
}

unsafe fn trace_values<T: Trace>(start: NonNull<u8>, tracer: &mut Tracer<'_>) -> usize {
    // SAFETY: the caller's promise as to each object: it is a `T`.
    let trace = |object: NonNull<u8>, tracer: &mut Tracer<'_>| unsafe { object.cast::<T>().as_ref() }.trace(tracer);
    // SAFETY: the caller's promise.
    unsafe { tracer.each_of_window(start, const { odd_slots::<T>() }, trace) }
}

/// Whether what values own outside the heap is counted: from their allocation to their drop.
pub(crate) const fn owns_memory<T: Trace>() -> bool {
    T::OWNS_MEMORY && std::mem::needs_drop::<T>() && size_of::<T>() != 0
}

unsafe fn owned_by_value<T: Trace>(object: NonNull<u8>) -> usize {
    // SAFETY: the sweeper calls this for a dead, initialised object of a span of `T`s, before it drops it.
    unsafe { object.cast::<T>().as_ref() }.owned_bytes()
}

unsafe fn drop_value<T>(object: NonNull<u8>) {
    // SAFETY: the sweeper calls this once for a dead, initialised object of a span of `T`s.
    unsafe { object.cast::<T>().drop_in_place() }
}

/// The type of the spans that plain types of a size class share.
#[inline(always)]
pub(crate) fn plain(class: usize) -> &'static TypeInfo {
    &PLAIN[class]
}
