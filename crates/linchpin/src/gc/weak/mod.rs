//! Weak pointers: they lead to an object as long as something else keeps it.
//!
//! A weak pointer is a pointer to a *handle*: an object of one word that holds the address of the target, and that the collector
//! clears when it decides the target to be dead. (Go's `weak.Pointer` is the same.) So a [`Weak`] is `Copy`, one word, and may
//! lie wherever a [`Gc`] may, behind locks and in anything a field's type owns; only handles are to be found when a mark
//! ends, and these are in a [table](HandleTable).
//!
//! An object has one handle at most, whoever asks for it, as long as anybody has it. So the handle's address is the identity of
//! the target, and goes on to be when that is dead.
//!
//! What an upgrade owes the collector is told at the head of [`decision`](crate::collector::decision).

mod cell;
mod interner;
mod map;
#[cfg(all(test, not(loom)))]
mod map_tests;
#[cfg(all(test, not(loom)))]
mod moved_tests;
mod root;
mod table;
#[cfg(all(test, not(loom)))]
mod table_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{Gc, Object};
use crate::error::OutOfMemory;
use crate::mutator::Mutator;
use crate::sync::{AtomicPtr, Ordering};
use crate::trace::{Inspector, Trace, Tracer};

pub use cell::WeakCell;
pub use interner::Interner;
pub use map::WeakMap;
pub use root::WeakRoot;
pub(crate) use table::{AddressHasher, HandleTable, give_room_back, part_of};

/// What weak pointers to one object lead to: the object's address, or null when it is dead.
// Under loom objects have one size.
#[cfg_attr(loom, repr(align(16384)))]
pub(crate) struct Handle {
    target: AtomicPtr<u8>,
}

impl Handle {
    fn new(target: NonNull<u8>) -> Self {
        Self { target: AtomicPtr::new(target.as_ptr()) }
    }

    fn target(&self) -> Option<NonNull<u8>> {
        // Relaxed: that the target is initialised was seen with the pointer to the handle. That it was cleared is seen in `Off` by
        // way of the handshake; in `Close`, who does not see it asks under the lock of the decision.
        NonNull::new(self.target.load(Ordering::Relaxed))
    }

    /// The target is dead.
    fn clear(&self) {
        // Relaxed: as in `target`.
        self.target.store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

// SAFETY: it has no brand, and the collector is not to follow the address.
unsafe impl Trace for Handle {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = false;

    fn trace(&self, _: &mut Tracer<'_>) {}

    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if let Some(target) = self.target() {
            inspector.weak_target(target);
        }
    }
}

/// A weak pointer: leads to an object without keeping it alive.
///
/// One word, `Copy`, branded like a [`Gc`]; made by [`Mutator::downgrade`]. [`upgrade`](Self::upgrade) gives the object, until
/// the collector has found that nothing but weak pointers leads to it; from then on it gives `None`, to everybody and for good.
/// What must outlive the mutation is a [`WeakRoot`], or lies in an object.
///
/// What anything but weak pointers led to at some time in a mutation can be upgraded until that mutation ends.
///
/// Two weak pointers are equal if they were made for the same object, whether that is still there or not.
///
/// ```
/// use linchpin::{Gc, Heap, Root, Trace, Weak};
///
/// #[derive(Trace)]
/// struct Child<'gc> {
///     parent: Weak<'gc, String>,
/// }
///
/// let heap = Heap::new();
/// let (parent, child) = heap.mutate(|mu| {
///     let parent = mu.alloc("parent".to_owned());
///     let child = mu.alloc(Child { parent: mu.downgrade(parent) });
///     (mu.root(parent), mu.root(child))
/// });
/// heap.collect();
/// heap.mutate(|mu| assert_eq!(*child.get(mu).parent.upgrade(mu).unwrap(), "parent"));
/// drop(parent);
/// heap.collect();
/// heap.mutate(|mu| assert!(child.get(mu).parent.upgrade(mu).is_none()));
/// # let _: Root<Child<'static>> = child;
/// ```
///
/// # Cost
///
/// The first weak pointer to an object takes a handle of 16 bytes in the heap and an entry in a table; further ones are a look into
/// the table. An upgrade is two loads, but for one while a cycle marks. At the end of each mark the collector looks once at each
/// object that has a handle.
pub struct Weak<'gc, T: ?Sized> {
    handle: Gc<'gc, Handle>,
    target: PhantomData<NonNull<T>>,
}

impl<'gc, T: ?Sized + Object> Weak<'gc, T> {
    /// # Safety
    /// The handle was made for an object of type `T`.
    #[inline(always)]
    unsafe fn from_handle(handle: Gc<'gc, Handle>) -> Self {
        Self { handle, target: PhantomData }
    }

    /// The object, if it is still there.
    #[inline]
    pub fn upgrade(self, mu: &Mutator<'gc>) -> Option<Gc<'gc, T>> {
        let target = self.handle.target()?;
        // SAFETY: a handle is cleared when its target is decided to be dead.
        let lives = unsafe { mu.take_in_hand(target) };
        // SAFETY: it lives, it is in hand now, and by whoever made the pointer it is a `T`.
        lives.then(|| unsafe { Gc::from_start(target) })
    }

    /// Whether the object is known to be dead: then [`upgrade`](Self::upgrade) gives nothing to anybody. It may be so without being
    /// known yet.
    #[must_use]
    pub fn is_cleared(self) -> bool {
        self.handle.target().is_none()
    }

    /// Makes an owned handle that is free to leave the mutation.
    pub fn root(self, mu: &Mutator<'gc>) -> WeakRoot<T::Branded<'static>> {
        WeakRoot::new(mu, self)
    }
}

impl<'gc> Mutator<'gc> {
    /// Makes a weak pointer to an object.
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn downgrade<T: ?Sized + Object>(&self, gc: Gc<'gc, T>) -> Weak<'gc, T> {
        self.try_downgrade(gc).unwrap_or_else(|reason| self.out_of_memory(reason.requested_bytes))
    }

    /// Makes a weak pointer to an object.
    ///
    /// # Errors
    /// If the object has no handle yet, and the region is full.
    ///
    /// # Panics
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_downgrade<T: ?Sized + Object>(&self, gc: Gc<'gc, T>) -> Result<Weak<'gc, T>, OutOfMemory> {
        let handles = &self.core().decision.handles;
        // SAFETY: the object is in hand.
        let handle = match unsafe { handles.find(self, gc.start()) } {
            Some(handle) => handle,
            None => {
                // Not under the table's lock: to allocate may take a while, and may run the program's code.
                let new = self.try_alloc(Handle::new(gc.start())).map_err(|refused| refused.reason)?;
                self.core().decision.note_weak();
                // SAFETY: the object is in hand, and the handle is a new one for it.
                unsafe { handles.find_or_insert(self, gc.start(), new) }
            }
        };
        // SAFETY: the handle is that of the object, a `T`.
        Ok(unsafe { Weak::from_handle(handle) })
    }
}

impl<T: ?Sized> Copy for Weak<'_, T> {}

impl<T: ?Sized> Clone for Weak<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> PartialEq for Weak<'_, T> {
    /// Whether both were made for the same object.
    fn eq(&self, other: &Self) -> bool {
        Gc::ptr_eq(self.handle, other.handle)
    }
}

impl<T: ?Sized> Eq for Weak<'_, T> {}

impl<T: ?Sized> Hash for Weak<'_, T> {
    /// Hashes which object it was made for.
    fn hash<H: Hasher>(&self, state: &mut H) {
        Gc::hash_address(self.handle, state);
    }
}

impl<T: ?Sized> fmt::Debug for Weak<'_, T> {
    /// Does not show the object, which may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weak").field("is_cleared", &self.handle.target().is_none()).finish_non_exhaustive()
    }
}

// SAFETY: it gives shared access to a `T`, on any thread it is sent to, like a `Gc`.
unsafe impl<T: ?Sized + Send + Sync> Send for Weak<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Weak<'_, T> {}

// SAFETY: the pointer to the handle is reported, which is all there is; its brand is the parameter. (The target is left out,
// which is what a weak pointer is for: `upgrade` and the decision see to it.)
unsafe impl<'gc, T: ?Sized + Object> Trace for Weak<'gc, T> {
    type Branded<'b> = Weak<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.visit(self.handle);
    }

    /// All that is in it is reported.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
