//! What a span knows of the type of its objects.

use std::ptr::NonNull;

use super::{Trace, Tracer};
use crate::gc::slice;
use crate::memory::size_class;

/// A type as the collector sees it: one constant a type, known by its address.
pub struct TypeInfo {
    /// Reports an object's pointers; `None` if it can have none.
    pub(crate) trace: Option<unsafe fn(NonNull<u8>, &mut Tracer<'_>)>,
    /// Drops an object's value; `None` if there is nothing to drop.
    pub(crate) drop: Option<unsafe fn(NonNull<u8>)>,
    /// The type's name.
    pub(crate) name: fn() -> &'static str,
}

impl TypeInfo {
    /// The constant for objects of type `T`.
    pub(crate) const fn of<T: Trace>() -> Self {
        Self {
            trace: if T::NEEDS_TRACE { Some(trace_value::<T>) } else { None },
            drop: if std::mem::needs_drop::<T>() { Some(drop_value::<T>) } else { None },
            name: std::any::type_name::<T>,
        }
    }

    /// The constant for slices of `T`.
    pub(crate) const fn of_slice<T: Trace>() -> Self {
        Self {
            trace: if T::NEEDS_TRACE { Some(slice::trace_elements::<T>) } else { None },
            drop: if std::mem::needs_drop::<T>() { Some(slice::drop_elements::<T>) } else { None },
            name: std::any::type_name::<[T]>,
        }
    }

    /// Objects that are neither traced nor dropped share spans by size.
    pub(crate) const fn is_plain(&self) -> bool {
        self.trace.is_none() && self.drop.is_none()
    }
}

/// The types of spans that plain types share, one a size class, so that the address tells the class.
static PLAIN: [TypeInfo; size_class::CLASSES] =
    [const { TypeInfo { trace: None, drop: None, name: || "plain data" } }; size_class::CLASSES];

unsafe fn trace_value<T: Trace>(object: NonNull<u8>, tracer: &mut Tracer<'_>) {
    // SAFETY: the marker calls this for an initialised object of a span of `T`s.
    unsafe { object.cast::<T>().as_ref() }.trace(tracer);
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
