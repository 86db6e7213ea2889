//! The weak pointer field that can be changed.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{Handle, Weak};
use crate::gc::{Gc, GcCell, Object};
use crate::mutator::Mutator;
use crate::trace::{Inspector, Trace, Tracer};

/// An atomic weak pointer field, null or to a `T`, that threads may change at the same time: what [`GcCell`] is for a
/// [`Gc`].
///
/// ```
/// use linchpin::{GcCell, Heap, Trace, WeakCell};
///
/// #[derive(Trace)]
/// struct Node<'gc> {
///     next: GcCell<'gc, Node<'gc>>,
///     back: WeakCell<'gc, Node<'gc>>,
/// }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| {
///     let first = mu.alloc(Node { next: GcCell::null(), back: WeakCell::null() });
///     let second = mu.alloc(Node { next: GcCell::null(), back: WeakCell::null() });
///     first.next.store(mu, second);
///     second.back.store(mu, mu.downgrade(first));
///     assert!(second.back.upgrade(mu).is_some());
/// });
/// ```
pub struct WeakCell<'gc, T: ?Sized> {
    handle: GcCell<'gc, Handle>,
    target: PhantomData<fn(NonNull<T>) -> NonNull<T>>,
}

impl<'gc, T: ?Sized + Object> WeakCell<'gc, T> {
    /// A cell that holds a weak pointer.
    #[inline]
    pub fn new(value: impl Into<Option<Weak<'gc, T>>>) -> Self {
        Self { handle: GcCell::new(value.into().map(|weak| weak.handle)), target: PhantomData }
    }

    /// A cell that holds null.
    #[cfg(not(loom))]
    #[inline]
    pub const fn null() -> Self {
        Self { handle: GcCell::null(), target: PhantomData }
    }

    /// A cell that holds null. (Loom's atomics are not made at compile time.)
    #[cfg(loom)]
    pub fn null() -> Self {
        Self { handle: GcCell::null(), target: PhantomData }
    }

    /// The weak pointer the cell holds; its object may be dead.
    #[inline]
    pub fn load(&self) -> Option<Weak<'gc, T>> {
        // SAFETY: handles of `T`s are put here.
        self.handle.load().map(|handle| unsafe { Weak::from_handle(handle) })
    }

    /// The object the cell leads to, if it holds a weak pointer to one that is still there.
    #[inline]
    pub fn upgrade(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, T>> {
        self.load()?.upgrade(mu)
    }

    /// Puts a weak pointer, or `None`, into the cell.
    #[inline]
    pub fn store(&self, mu: &Mutator<'gc>, value: impl Into<Option<Weak<'gc, T>>>) {
        self.handle.store(mu, value.into().map(|weak| weak.handle));
    }

    /// Puts null into the cell.
    #[inline]
    pub fn clear(&self, mu: &Mutator<'gc>) {
        self.handle.clear(mu);
    }

    /// Puts a weak pointer, or `None`, into the cell and returns what it held.
    #[inline]
    pub fn swap(&self, mu: &Mutator<'gc>, value: impl Into<Option<Weak<'gc, T>>>) -> Option<Weak<'gc, T>> {
        let old = self.handle.swap(mu, value.into().map(|weak| weak.handle));
        // SAFETY: as in `load`.
        old.map(|handle| unsafe { Weak::from_handle(handle) })
    }

    /// Puts `new` into the cell if it holds `current`; tells what it held either way.
    ///
    /// # Errors
    /// If the cell holds something else: what it holds.
    pub fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Weak<'gc, T>>,
        new: Option<Weak<'gc, T>>,
    ) -> Result<Option<Weak<'gc, T>>, Option<Weak<'gc, T>>> {
        let handle = |weak: Option<Weak<'gc, T>>| weak.map(|weak| weak.handle);
        // SAFETY: as in `load`.
        let weak = |handle: Option<Gc<'gc, Handle>>| handle.map(|handle| unsafe { Weak::from_handle(handle) });
        self.handle.compare_exchange(mu, handle(current), handle(new)).map(weak).map_err(weak)
    }
}

impl<T: ?Sized + Object> Default for WeakCell<'_, T> {
    fn default() -> Self {
        Self::null()
    }
}

impl<T: ?Sized> fmt::Debug for WeakCell<'_, T> {
    /// Does not show the object, which may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakCell").field("is_null", &self.handle.load().is_none()).finish_non_exhaustive()
    }
}

// SAFETY: like an atomic `Weak`.
unsafe impl<T: ?Sized + Send + Sync> Send for WeakCell<'_, T> {}
// SAFETY: like an atomic `Weak`.
unsafe impl<T: ?Sized + Send + Sync> Sync for WeakCell<'_, T> {}

// SAFETY: the pointer to the handle, if any, is reported; its brand is the parameter.
unsafe impl<'gc, T: ?Sized + Object> Trace for WeakCell<'gc, T> {
    type Branded<'b> = WeakCell<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.handle.trace(tracer);
    }

    /// All that is in it is reported.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
