//! Weak roots: owned weak pointers outside mutations.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{Handle, Weak};
use crate::gc::{Gc, Object, Root};
use crate::mutator::Mutator;

/// A weak pointer that is owned, `'static`, and free to go to any thread and to be dropped anywhere.
///
/// Made by [`Mutator::weak_root`] or [`Weak::root`]. It does not keep its object alive, but it does keep a word in the heap: a heap
/// dropped before it keeps its region mapped, and says so, as it does for a [`Root`].
///
/// ```
/// use linchpin::{Heap, WeakRoot};
///
/// let heap = Heap::new();
/// let (root, weak): (_, WeakRoot<String>) = heap.mutate(|mu| {
///     let text = mu.alloc("text".to_owned());
///     (mu.root(text), mu.weak_root(text))
/// });
/// heap.mutate(|mu| assert_eq!(*weak.upgrade(mu).unwrap(), "text"));
/// drop(root);
/// heap.collect();
/// heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
/// ```
pub struct WeakRoot<T: ?Sized + 'static> {
    handle: Root<Handle>,
    target: PhantomData<fn(NonNull<T>) -> NonNull<T>>,
}

impl<T: ?Sized + Object + 'static> WeakRoot<T> {
    pub(super) fn new<'gc, U>(mu: &Mutator<'gc>, weak: Weak<'gc, U>) -> Self
    where
        U: ?Sized + Object<Branded<'static> = T>,
    {
        Self { handle: mu.root(weak.handle), target: PhantomData }
    }

    /// The weak pointer, in a mutation of its heap.
    ///
    /// # Panics
    /// If `mu` is a mutation of another heap.
    pub fn get<'gc>(&self, mu: &Mutator<'gc>) -> Weak<'gc, T::Branded<'gc>> {
        // SAFETY: the handle was made for an object of type `T`, under whatever brand.
        unsafe { Weak::from_handle(self.handle.get(mu)) }
    }

    /// The object, if it is still there, in a mutation of its heap.
    ///
    /// # Panics
    /// If `mu` is a mutation of another heap.
    #[inline]
    pub fn upgrade<'gc>(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, T::Branded<'gc>>> {
        self.get(mu).upgrade(mu)
    }

    /// Makes it lead to another object instead.
    ///
    /// # Panics
    /// If `mu` is a mutation of another heap.
    pub fn set<'gc>(&self, mu: &Mutator<'gc>, weak: Weak<'gc, T::Branded<'gc>>) {
        self.handle.set(mu, weak.handle);
    }
}

impl<'gc> Mutator<'gc> {
    /// Makes a weak root: an owned handle that leads to the object without keeping it alive.
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn weak_root<T: ?Sized + Object>(&self, gc: Gc<'gc, T>) -> WeakRoot<T::Branded<'static>> {
        self.downgrade(gc).root(self)
    }
}

impl<T: ?Sized + 'static> Clone for WeakRoot<T> {
    /// Makes another weak root of the same object, inside or outside a mutation.
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), target: PhantomData }
    }
}

impl<T: ?Sized + 'static> fmt::Debug for WeakRoot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakRoot").field("type", &std::any::type_name::<T>()).finish_non_exhaustive()
    }
}
