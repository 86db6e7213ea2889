//! `Trace` for the type of `either`.

use ::either::Either;

use crate::trace::{Inspector, Trace, Tracer};

// SAFETY: exactly one of the two is there, and it is traced.
unsafe impl<L: Trace, R: Trace> Trace for Either<L, R> {
    type Branded<'b> = Either<L::Branded<'b>, R::Branded<'b>>;
    const NEEDS_TRACE: bool = L::NEEDS_TRACE || R::NEEDS_TRACE;
    const OWNS_MEMORY: bool = L::OWNS_MEMORY || R::OWNS_MEMORY;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        match self {
            Either::Left(value) => value.trace(tracer),
            Either::Right(value) => value.trace(tracer),
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        match self {
            Either::Left(value) => value.inspect(inspector),
            Either::Right(value) => value.inspect(inspector),
        }
    }
    fn owned_bytes(&self) -> usize {
        self.as_ref().either(L::owned_bytes, R::owned_bytes)
    }
}
