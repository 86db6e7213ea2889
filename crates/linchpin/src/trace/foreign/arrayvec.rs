//! `Trace` for the types of `arrayvec`.

use ::arrayvec::{ArrayString, ArrayVec};

use crate::trace::impls::{has_size, owned_by_all};
use crate::trace::{Inspector, Trace, Tracer};

// SAFETY: it owns its elements, iterates over all of them, and drops them without looking through them.
unsafe impl<T: Trace, const CAPACITY: usize> Trace for ArrayVec<T, CAPACITY> {
    type Branded<'b> = ArrayVec<T::Branded<'b>, CAPACITY>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const OWNS_MEMORY: bool = T::OWNS_MEMORY;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if const { has_size::<T>() } {
            for element in self {
                element.trace(tracer);
            }
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if const { has_size::<T>() } {
            for element in self {
                element.inspect(inspector);
            }
        }
    }
    fn owned_bytes(&self) -> usize {
        if T::OWNS_MEMORY { owned_by_all(self) } else { 0 }
    }
}

// SAFETY: the type is `'static` and has no type parameters, so it holds no `Gc`.
unsafe impl<const CAPACITY: usize> Trace for ArrayString<CAPACITY> {
    type Branded<'b> = ArrayString<CAPACITY>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
