//! `Trace` for the type of `smallvec`.

use ::smallvec::SmallVec;

use crate::trace::{Inspector, Trace, Tracer};

// SAFETY: it owns its elements, wherever they are, iterates over all of them, and drops them without looking through them.
unsafe impl<T: Trace, const INLINE: usize> Trace for SmallVec<[T; INLINE]> {
    type Branded<'b> = SmallVec<[T::Branded<'b>; INLINE]>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for element in self {
            element.trace(tracer);
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        for element in self {
            element.inspect(inspector);
        }
    }
}
