//! `Trace` for the type of `smallvec`.

use ::smallvec::SmallVec;

use crate::trace::impls::{has_size, owned_by_all};
use crate::trace::{Inspector, Trace, Tracer};

// SAFETY: it owns its elements, wherever they are, iterates over all of them, and drops them without looking through them.
unsafe impl<T: Trace, const INLINE: usize> Trace for SmallVec<[T; INLINE]> {
    type Branded<'b> = SmallVec<[T::Branded<'b>; INLINE]>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const OWNS_MEMORY: bool = true;
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
        let room = if self.spilled() { self.capacity().saturating_mul(size_of::<T>()) } else { 0 };
        let elements = if T::OWNS_MEMORY { owned_by_all(self) } else { 0 };
        room.saturating_add(elements)
    }
}
