//! Data the collector need not look into.

use std::ops::{Deref, DerefMut};

/// Wraps a value of any `'static` type, so that it can be part of an object though its type does not implement
/// [`Trace`](crate::Trace). It holds no `Gc`, since none is `'static`.
///
/// ```
/// use linchpin::{Heap, Opaque, Trace};
///
/// struct FromElsewhere(u32);
///
/// #[derive(Trace)]
/// struct Object { id: u64, foreign: Opaque<FromElsewhere> }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| assert_eq!(mu.alloc(Object { id: 1, foreign: Opaque(FromElsewhere(2)) }).foreign.0.0, 2));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opaque<T: 'static>(pub T);

impl<T> Deref for Opaque<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Opaque<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
