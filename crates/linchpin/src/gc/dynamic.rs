//! Pointers to objects of which only a trait is known.
//!
//! A [`Gc`] is one word, so it has no room for a table of methods. A [`GcDyn`] is two. What is behind the trait may hold pointers of
//! the heap; so a trait object is re-branded like any type, `dyn Shape<'gc>` to `dyn Shape<'b>`, which
//! [`trait_object!`](crate::trait_object) states for a trait of the program's own.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use super::{Brand, Gc, Object};
use crate::trace::{Inspector, Trace, Tracer};

/// A trait object that a [`GcDyn`] may lead to; implemented by [`trait_object!`](crate::trait_object).
///
/// # Safety
/// `Branded<'b>` is the same trait object with the heap's lifetime, as its argument and as its bound, replaced by `'b`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no trait object of a linchpin heap",
    note = "for a trait of your own, say `linchpin::trait_object!(dyn TheTrait);` beside it"
)]
pub unsafe trait DynObject {
    /// The type under another brand.
    type Branded<'b>: ?Sized + for<'c> DynObject<Branded<'c> = Self::Branded<'c>> + 'b;
}

/// States that a trait may stand for objects: `trait_object!(dyn Shape);`, or `trait_object!(dyn Shape<'gc>);` for a trait that
/// names the heap's lifetime. See [`GcDyn`].
#[macro_export]
macro_rules! trait_object {
    (dyn $name:ident) => {
        // SAFETY: the brand is the bound, and nothing else changes.
        unsafe impl<'gc> $crate::DynObject for dyn $name + 'gc {
            type Branded<'b> = dyn $name + 'b;
        }
    };
    (dyn $name:ident<$brand:lifetime>) => {
        // SAFETY: the brand is the argument and the bound, and nothing else changes.
        unsafe impl<$brand> $crate::DynObject for dyn $name<$brand> + $brand {
            type Branded<'b> = dyn $name<'b> + 'b;
        }
    };
}

/// A pointer to an object of which a trait is known: two words, `Copy`, never null.
///
/// Made by [`unsize!`](crate::unsize) from a [`Gc`]. It is what `&dyn Trait` is to `&T`, and may lie wherever a `Gc` may, but not in
/// what has room for one word: a [`GcCell`](crate::GcCell), a [`Root`](crate::Root), a [`Weak`](crate::Weak). For these, put it into
/// an object (`mu.alloc(pointer)`), or behind a [`GcMutex`](crate::GcMutex).
///
/// ```
/// use linchpin::{Gc, GcDyn, GcMutex, Heap, Root, Trace, trait_object, unsize};
///
/// trait Shape {
///     fn area(&self) -> f64;
/// }
/// trait_object!(dyn Shape);
///
/// #[derive(Trace)]
/// struct Square(f64);
///
/// /// It may hold pointers itself.
/// #[derive(Trace)]
/// struct Double<'gc>(Gc<'gc, Square>);
///
/// impl Shape for Square {
///     fn area(&self) -> f64 {
///         self.0 * self.0
///     }
/// }
///
/// impl Shape for Double<'_> {
///     fn area(&self) -> f64 {
///         2.0 * self.0.area()
///     }
/// }
///
/// type Shapes<'gc> = GcMutex<Vec<GcDyn<'gc, dyn Shape + 'gc>>>;
///
/// let heap = Heap::new();
/// let shapes: Root<Shapes<'static>> = heap.mutate(|mu| {
///     let square = mu.alloc(Square(3.0));
///     let double = mu.alloc(Double(square));
///     let shapes = mu.alloc(Shapes::default());
///     shapes.lock(mu).extend([unsize!(square => dyn Shape), unsize!(double => dyn Shape)]);
///     mu.root(shapes)
/// });
/// heap.collect();
/// let sum: f64 = heap.mutate(|mu| shapes.get(mu).lock(mu).iter().map(|shape| shape.area()).sum());
/// assert_eq!(sum, 27.0);
/// ```
pub struct GcDyn<'gc, T: ?Sized> {
    value: NonNull<T>,
    brand: Brand<'gc>,
    target: PhantomData<NonNull<T>>,
}

impl<'gc, T: ?Sized + DynObject> GcDyn<'gc, T> {
    /// The pointer to an object as one to a trait object, for [`unsize!`](crate::unsize).
    ///
    /// # Safety
    /// `coerce` gives its argument, coerced to the trait object.
    #[doc(hidden)]
    pub unsafe fn unsize<S: Trace>(gc: Gc<'gc, S>, coerce: impl FnOnce(*mut S) -> *mut T) -> Self
    where
        T: DynObject<Branded<'gc> = T>,
    {
        // SAFETY: there is a live, initialised object.
        let value = coerce(unsafe { S::at(gc.start()) }.as_ptr());
        // SAFETY: it is the same address, by the caller's promise.
        Self { value: unsafe { NonNull::new_unchecked(value) }, brand: PhantomData, target: PhantomData }
    }

    /// A reference that is good for the whole mutation.
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "the trait's method cannot give a reference that outlives `self`")]
    pub fn as_ref(self) -> &'gc T {
        // SAFETY: it was made of a `Gc`, whose object is not freed before the mutation of its brand has ended.
        unsafe { self.value.as_ref() }
    }

    /// Whether two pointers lead to the same object, as whatever.
    #[inline]
    pub fn ptr_eq(this: Self, other: Self) -> bool {
        this.value.cast::<u8>() == other.value.cast::<u8>()
    }
}

/// Makes a [`GcDyn`] of a [`Gc`]: `unsize!(gc => dyn Shape)`.
#[macro_export]
macro_rules! unsize {
    ($gc:expr => $object:ty) => {{
        let gc = $gc;
        // SAFETY: the closure does nothing but coerce.
        unsafe { $crate::GcDyn::unsize(gc, |value: *mut _| -> *mut $object { value }) }
    }};
}

impl<T: ?Sized> Copy for GcDyn<'_, T> {}

impl<T: ?Sized> Clone for GcDyn<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized + DynObject> Deref for GcDyn<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: as in `as_ref`.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized + DynObject + fmt::Debug> fmt::Debug for GcDyn<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + DynObject + fmt::Display> fmt::Display for GcDyn<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> fmt::Pointer for GcDyn<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

// SAFETY: whatever is in a heap is `Send + Sync` (`Allocate`), though the trait may not say so.
unsafe impl<T: ?Sized> Send for GcDyn<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized> Sync for GcDyn<'_, T> {}

// SAFETY: the pointer is reported; its brand is the parameter.
unsafe impl<'gc, T: ?Sized + DynObject> Trace for GcDyn<'gc, T> {
    type Branded<'b> = GcDyn<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        // The value of a sized type is where its object starts.
        tracer.visit_root(self.value.cast());
    }

    /// All that is in it is reported; the other word leads to no object.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
