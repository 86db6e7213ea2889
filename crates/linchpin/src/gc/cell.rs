//! The pointer field that can be changed.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::{Brand, Gc, Object};
use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::sync::{AtomicPtr, Ordering, ordering};
use crate::trace::{Inspector, Trace, Tracer};

/// An atomic pointer field, null or to a `T`, that threads may change at the same time.
///
/// Objects are shared, so they are immutable but for their atomic parts; this is the one that holds a pointer. Every
/// change passes the collector's barrier, which is why it asks for the [`Mutator`]: a test of its mode while no
/// cycle marks, a note of the old value while one does.
///
/// Loads are `Acquire`, changes are `Release`: who loads a pointer sees the object as it was when the pointer
/// was stored.
///
/// ```
/// use linchpin::{GcCell, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Node<'gc> {
///     value: u32,
///     next: GcCell<'gc, Node<'gc>>,
/// }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| {
///     let last = mu.alloc(Node { value: 2, next: GcCell::null() });
///     let first = mu.alloc(Node { value: 1, next: GcCell::new(last) });
///     last.next.store(mu, first); // a ring
///     assert_eq!(first.next.load().unwrap().next.load().unwrap().value, 1);
///     last.next.clear(mu);
///     assert!(last.next.load().is_none());
/// });
/// ```
pub struct GcCell<'gc, T: ?Sized> {
    start: AtomicPtr<u8>,
    brand: Brand<'gc>,
    // Invariant in `T`: a cell of a longer-lived type must not take a shorter-lived one.
    target: PhantomData<fn(Gc<'gc, T>) -> Gc<'gc, T>>,
}

#[inline(always)]
fn to_raw<T: ?Sized + Object>(gc: Option<Gc<'_, T>>) -> *mut u8 {
    gc.map_or(ptr::null_mut(), |gc| gc.start().as_ptr())
}

/// # Safety
/// The pointer was loaded from a cell of `T`s by the mutation branded `'gc`.
#[inline(always)]
unsafe fn from_raw<'gc, T: ?Sized + Object>(start: *mut u8) -> Option<Gc<'gc, T>> {
    // SAFETY: what a cell holds is alive: it is reachable, and what is unlinked stays until the mutations of that
    // time have ended.
    NonNull::new(start).map(|start| unsafe { Gc::from_start(start) })
}

impl<'gc, T: ?Sized + Object> GcCell<'gc, T> {
    /// A cell that holds a pointer.
    #[inline]
    pub fn new(value: impl Into<Option<Gc<'gc, T>>>) -> Self {
        Self { start: AtomicPtr::new(to_raw(value.into())), brand: PhantomData, target: PhantomData }
    }

    /// A cell that holds null.
    #[cfg(not(loom))]
    #[inline]
    pub const fn null() -> Self {
        Self { start: AtomicPtr::new(ptr::null_mut()), brand: PhantomData, target: PhantomData }
    }

    /// A cell that holds null. (Loom's atomics are not made at compile time.)
    #[cfg(loom)]
    pub fn null() -> Self {
        Self { start: AtomicPtr::new(ptr::null_mut()), brand: PhantomData, target: PhantomData }
    }

    /// The pointer the cell holds.
    #[inline(always)]
    pub fn load(&self) -> Option<Gc<'gc, T>> {
        // Acquire: pairs with the release of the change that put it here.
        let start = self.start.load(ordering!(Acquire, "cell.load"));
        // SAFETY: loaded from this cell; the cell's brand is that of the mutation that has it in hand.
        unsafe { from_raw(start) }
    }

    /// Puts a pointer, or `None`, into the cell. (For a bare `None`, whose type nothing tells, there is
    /// [`clear`](Self::clear).)
    #[inline(always)]
    pub fn store(&self, mu: &Mutator<'gc>, value: impl Into<Option<Gc<'gc, T>>>) {
        let new = to_raw(value.into());
        if mu.mode() == Mode::Off {
            // Release: pairs with the acquire of who loads it.
            self.start.store(new, ordering!(Release, "cell.store"));
        } else if T::NEEDS_TRACE {
            // SAFETY: the mutation has the new value in hand.
            unsafe { mu.store_marking(&self.start, new) };
        } else {
            // SAFETY: the mutation has the new value in hand, and all that a cell of `T`s holds are leaves.
            unsafe { mu.store_leaf_marking(&self.start, new) };
        }
    }

    /// Puts null into the cell.
    #[inline(always)]
    pub fn clear(&self, mu: &Mutator<'gc>) {
        self.store(mu, None::<Gc<'gc, T>>);
    }

    /// Puts a pointer, or `None`, into the cell and returns what it held.
    #[inline]
    pub fn swap(&self, mu: &Mutator<'gc>, value: impl Into<Option<Gc<'gc, T>>>) -> Option<Gc<'gc, T>> {
        let new = to_raw(value.into());
        let old = if mu.mode() == Mode::Off {
            // Acquire and release: pairs with the changes before and the loads after.
            self.start.swap(new, Ordering::AcqRel)
        } else {
            self.swap_marking(mu, new)
        };
        // SAFETY: loaded from this cell.
        unsafe { from_raw(old) }
    }

    /// Puts `new` into the cell if it holds `current`; tells what it held either way.
    ///
    /// # Errors
    /// If the cell holds something else: what it holds.
    #[inline]
    pub fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Gc<'gc, T>>,
        new: Option<Gc<'gc, T>>,
    ) -> Result<Option<Gc<'gc, T>>, Option<Gc<'gc, T>>> {
        let (expected, new) = (to_raw(current), to_raw(new));
        let outcome = if mu.mode() == Mode::Off {
            // Acquire and release: pairs with the changes before and the loads after.
            self.start.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire)
        } else {
            // SAFETY: the mutation has both in hand.
            unsafe { mu.replace_marking(&self.start, expected, new) }
        };
        match outcome {
            Ok(_) => Ok(current),
            // SAFETY: loaded from this cell.
            Err(held) => Err(unsafe { from_raw(held) }),
        }
    }

    /// The change while a cycle marks; returns what it replaced.
    #[cold]
    fn swap_marking(&self, mu: &Mutator<'gc>, new: *mut u8) -> *mut u8 {
        // SAFETY: the mutation has the new value in hand.
        unsafe { mu.swap_marking(&self.start, new) }
    }
}

impl<T: ?Sized> Default for GcCell<'_, T>
where
    T: Object,
{
    fn default() -> Self {
        Self::null()
    }
}

impl<T: ?Sized> fmt::Debug for GcCell<'_, T> {
    /// Shows the address only: the object may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GcCell").field(&self.start.load(Ordering::Relaxed)).finish()
    }
}

// SAFETY: like an atomic `Gc`.
unsafe impl<T: ?Sized + Send + Sync> Send for GcCell<'_, T> {}
// SAFETY: like an atomic `Gc`.
unsafe impl<T: ?Sized + Send + Sync> Sync for GcCell<'_, T> {}

// SAFETY: the pointer, if any, is reported; its brand is the parameter.
unsafe impl<'gc, T: ?Sized + Object> Trace for GcCell<'gc, T> {
    type Branded<'b> = GcCell<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(gc) = self.load() {
            tracer.visit(gc);
        }
    }

    /// All that is in it is reported; and by the time it is looked at, it may have changed.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
