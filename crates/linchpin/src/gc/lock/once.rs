//! A value that is written once.

use std::fmt;

use super::after_change;
use crate::collector::mark::Tracer;
use crate::mutator::Mutator;
use crate::sync::OnceLock;
use crate::trace::{Inspector, Trace};

/// A place for a value that is written once, later than the object it is part of, and may hold pointers.
///
/// Reading it costs a load, and no lock. Nothing is ever removed, so there is nothing to shade but in `Arm`.
///
/// ```
/// use linchpin::{Gc, GcOnce, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Node<'gc> {
///     parent: GcOnce<Gc<'gc, Node<'gc>>>,
/// }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| {
///     let child = mu.alloc(Node { parent: GcOnce::new() });
///     let parent = mu.alloc(Node { parent: GcOnce::new() });
///     assert!(child.parent.set(mu, parent).is_ok());
///     assert!(child.parent.set(mu, child).is_err());
///     assert!(Gc::ptr_eq(*child.parent.get().unwrap(), parent));
/// });
/// ```
pub struct GcOnce<T> {
    value: OnceLock<T>,
}

impl<T> GcOnce<T> {
    /// An empty place.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self { value: OnceLock::new() }
    }

    /// An empty place. (Loom's atomics are not made at compile time.)
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { value: OnceLock::new() }
    }

    /// The value, if it was written.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }
}

impl<T: Trace> GcOnce<T> {
    /// Writes the value.
    ///
    /// # Errors
    /// Gives the value back if there is one already.
    pub fn set<'gc>(&self, mu: &Mutator<'gc>, value: T) -> Result<(), T>
    where
        T: Trace<Branded<'gc> = T>,
    {
        let mut value = Some(value);
        self.get_or_init(mu, || value.take().expect("it is asked for once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; made and written by `make`, if there is none. Threads that come meanwhile wait for it.
    ///
    /// If `make` panics, the place stays empty. If it asks for the value it is to make, it waits for itself, or panics.
    pub fn get_or_init<'gc>(&self, mu: &Mutator<'gc>, make: impl FnOnce() -> T) -> &T
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.value.get_or_init(|| {
            let value = make();
            // Before anybody can see it, and take a lock in it, which the shade would pass by.
            after_change(mu, &value);
            value
        })
    }
}

// SAFETY: the value, if there is one, is traced. If it comes later, it was in a mutation's hands: it is part of the snapshot, or
// black, or shaded in `Arm`.
unsafe impl<T: Trace> Trace for GcOnce<T> {
    type Branded<'b> = GcOnce<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(value) = self.get() {
            value.trace(tracer);
        }
    }

    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if let Some(value) = self.get() {
            value.inspect(inspector);
        }
    }
}

impl<T> Default for GcOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for GcOnce<T> {
    /// Does not show the value, which may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcOnce").field("is_set", &self.get().is_some()).finish()
    }
}
