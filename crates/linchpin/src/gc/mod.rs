//! Pointers: [`Gc`], [`GcCell`], [`Root`], and what they may point to; locks around contents that hold pointers; weak pointers.

mod cell;
mod dynamic;
mod header;
pub(crate) mod lock;
mod root;
pub(crate) mod root_table;
pub(crate) mod slice;
mod tagged;
pub(crate) mod weak;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::trace::{Inspector, Trace, Tracer, TypeInfo};

pub use cell::GcCell;
pub use dynamic::{DynObject, GcDyn};
pub use header::HeaderSlice;
pub use lock::{GcMutex, GcMutexGuard, GcOnce, GcRwLock, GcRwLockReadGuard, GcRwLockWriteGuard};
pub use root::Root;
pub use tagged::{Payload, Tagged, TaggedCell};
pub use weak::{Interner, Weak, WeakCell, WeakMap, WeakRoot};

/// The brand of a heap access: a lifetime that unifies with no other.
pub(crate) type Brand<'gc> = PhantomData<fn(&'gc ()) -> &'gc ()>;

/// A pointer to an object in a heap: one word, `Copy`, never null.
///
/// It derefs to the object with no check. Its lifetime `'gc` is the brand of the mutation that made or loaded it; it
/// cannot leave that mutation. What must outlive it is a [`Root`] or is pinned by a [`Pinner`](crate::Pinner).
///
/// `T` may be any [`Trace`] type, a slice `[T]` of one, or `str`; a `Gc<[T]>` is one word too.
///
/// ```
/// use linchpin::Heap;
///
/// let heap = Heap::new();
/// let sum: i32 = heap.mutate(|mu| {
///     let numbers = mu.alloc_slice_copy(&[1, 2, 3]);
///     numbers.iter().sum()
/// });
/// assert_eq!(sum, 6);
/// ```
pub struct Gc<'gc, T: ?Sized> {
    start: NonNull<u8>,
    brand: Brand<'gc>,
    target: PhantomData<NonNull<T>>,
}

/// What a [`Gc`] may point to: every [`Trace`] type, slices of them, and `str`.
///
/// # Safety
/// Implemented by this crate only. `Branded<'b>` is `Self` with the heap's lifetime replaced by `'b`.
pub unsafe trait Object {
    /// The type under another brand; see [`Trace::Branded`].
    type Branded<'b>: ?Sized + for<'c> Object<Branded<'c> = Self::Branded<'c>> + 'b;

    #[doc(hidden)]
    const NEEDS_TRACE: bool;

    /// The type as the collector sees it.
    #[doc(hidden)]
    const INFO: &'static TypeInfo;

    /// The value of the object that starts at `start`.
    ///
    /// # Safety
    /// There is a live, initialised object of this type.
    #[doc(hidden)]
    unsafe fn at(start: NonNull<u8>) -> NonNull<Self>;
}

// SAFETY: `Branded` is that of `Trace`.
unsafe impl<T: Trace> Object for T {
    type Branded<'b> = <T as Trace>::Branded<'b>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const INFO: &'static TypeInfo = &TypeInfo::of::<T>();

    #[inline(always)]
    unsafe fn at(start: NonNull<u8>) -> NonNull<T> {
        start.cast()
    }
}

impl<'gc, T: ?Sized + Object> Gc<'gc, T> {
    /// The pointer to the object that starts at `start`.
    ///
    /// # Safety
    /// There is a live, initialised object of type `T` in the heap branded `'gc`, in hand of the mutation.
    #[inline(always)]
    pub(crate) unsafe fn from_start(start: NonNull<u8>) -> Self {
        Self { start, brand: PhantomData, target: PhantomData }
    }

    /// Where the object starts; for a slice that is its header.
    #[inline(always)]
    pub(crate) fn start(self) -> NonNull<u8> {
        self.start
    }

    /// A reference that is good for the whole mutation.
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "the trait's method cannot give a reference that outlives `self`")]
    pub fn as_ref(self) -> &'gc T {
        // SAFETY: a `Gc` points to a live, initialised object, which is not freed before the mutation of its
        // brand has ended.
        unsafe { T::at(self.start).as_ref() }
    }

    /// The address of the object's value (of the first element, for a slice).
    #[inline]
    pub fn as_ptr(this: Self) -> *const T {
        // SAFETY: as in `as_ref`.
        unsafe { T::at(this.start) }.as_ptr()
    }

    /// Whether two pointers lead to the same object.
    #[inline]
    pub fn ptr_eq(this: Self, other: Self) -> bool {
        this.start == other.start
    }

    /// Hashes the address, which stays the same for the life of the object.
    #[inline]
    pub fn hash_address<H: Hasher>(this: Self, state: &mut H) {
        this.start.addr().hash(state);
    }
}

impl<T: ?Sized> Copy for Gc<'_, T> {}

impl<T: ?Sized> Clone for Gc<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized + Object> Deref for Gc<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: as in `as_ref`.
        unsafe { T::at(self.start).as_ref() }
    }
}

impl<T: ?Sized + Object> AsRef<T> for Gc<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized + Object + fmt::Debug> fmt::Debug for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + Object + fmt::Display> fmt::Display for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Pointer for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start.fmt(f)
    }
}

impl<T: ?Sized + Object + PartialEq> PartialEq for Gc<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Object + Eq> Eq for Gc<'_, T> {}

impl<T: ?Sized + Object + PartialOrd> PartialOrd for Gc<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Object + Ord> Ord for Gc<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

/// As it is equal, ordered and hashed like what it leads to: so a map with keys `Gc<str>` can be asked for a `str`.
impl<T: ?Sized + Object> Borrow<T> for Gc<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<'gc, T: Trace + 'gc> IntoIterator for Gc<'gc, [T]> {
    type Item = &'gc T;
    type IntoIter = std::slice::Iter<'gc, T>;

    /// The elements of a slice, by references that are good for the whole mutation.
    fn into_iter(self) -> Self::IntoIter {
        self.as_ref().iter()
    }
}

impl<T: ?Sized + Object + Hash> Hash for Gc<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

// SAFETY: a `Gc` gives shared access to a `T`, on any thread it is sent to, and a value of an object may be dropped
// on the collector's thread.
unsafe impl<T: ?Sized + Send + Sync> Send for Gc<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Gc<'_, T> {}

// SAFETY: the pointer is reported; its brand is the parameter.
unsafe impl<'gc, T: ?Sized + Object> Trace for Gc<'gc, T> {
    type Branded<'b> = Gc<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.visit(*self);
    }

    /// All that is in it is reported.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
