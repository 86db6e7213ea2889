//! Roots: owned handles that keep an object alive outside mutations.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::root_table::Slot;
use super::{Gc, Object};
use crate::heap::Core;
use crate::mutator::Mutator;
use crate::processor::Local;
use crate::processor::phase::Mode;
use crate::sync::{Arc, ordering};

/// Keeps an object alive; owned, `'static`, free to go to any thread and to be dropped anywhere.
///
/// Made by [`Mutator::root`]; in a mutation of the same heap, [`get`](Self::get) leads back to the object. The type
/// parameter is the object's type under the brand `'static`: a `Gc<'gc, Session<'gc>>` becomes a
/// `Root<Session<'static>>`.
///
/// ```
/// use linchpin::{Heap, Root, Trace};
///
/// #[derive(Trace)]
/// struct Point { x: i32, y: i32 }
///
/// let heap = Heap::new();
/// let root: Root<Point> = heap.mutate(|mu| mu.root(mu.alloc(Point { x: 1, y: 2 })));
/// heap.collect();
/// assert_eq!(heap.mutate(|mu| root.get(mu).x), 1);
/// ```
pub struct Root<T: ?Sized + 'static> {
    core: Arc<Core>,
    slot: NonNull<Slot>,
    // Invariant in `T`: `set` takes what `get` of another handle of the same root hands out.
    target: PhantomData<fn(NonNull<T>) -> NonNull<T>>,
}

// SAFETY: a root gives shared access to an object on any thread, which needs `T: Send + Sync`, as every object in a
// heap is (`Allocate`). The slot is an atomic.
unsafe impl<T: ?Sized + 'static> Send for Root<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + 'static> Sync for Root<T> {}

impl<T: ?Sized + 'static> Root<T> {
    /// Makes a root for an object that the mutation has in hand.
    pub(crate) fn new(mu: &Mutator<'_>, object: NonNull<u8>) -> Self {
        // SAFETY: the mutation has the object in hand.
        unsafe { Self::insert(mu.core(), mu.local(), object) }
    }

    /// # Safety
    /// `local` is that of a processor of `core` that this thread holds; `object` starts an object of the heap that
    /// is alive while it does.
    unsafe fn insert(core: &Core, local: &Local, object: NonNull<u8>) -> Self {
        if local.mode() == Mode::Arm {
            // SAFETY: the caller's promise.
            unsafe { local.shade(core, object) };
        }
        Self { core: core.shared(), slot: core.roots.add(object), target: PhantomData }
    }

    fn slot(&self) -> &Slot {
        // SAFETY: a slot lives as long as the table in `core`, and belongs to this root until it is dropped.
        unsafe { self.slot.as_ref() }
    }

    #[inline(always)]
    fn check_heap(&self, mu: &Mutator<'_>) {
        if !std::ptr::eq(Arc::as_ptr(&self.core), mu.core()) {
            wrong_heap(self.core.id, mu.core().id);
        }
    }

    fn object(&self) -> NonNull<u8> {
        // Acquire: pairs with the release of `set` and `RootTable::add`.
        let object = self.slot().load(ordering!(Acquire, "root.get"));
        NonNull::new(object).expect("the slot of a root holds an object until the root is dropped")
    }
}

impl<T: ?Sized + Object + 'static> Root<T> {
    /// The object, in a mutation of its heap.
    ///
    /// # Panics
    /// If `mu` is a mutation of another heap.
    #[inline]
    pub fn get<'gc>(&self, mu: &Mutator<'gc>) -> Gc<'gc, T::Branded<'gc>> {
        self.check_heap(mu);
        // SAFETY: the slot keeps an object of type `T`, under whatever brand, alive; from here on the mutation
        // has it in hand.
        unsafe { Gc::from_start(self.object()) }
    }

    /// Makes the root keep another object alive instead.
    ///
    /// # Panics
    /// If `mu` is a mutation of another heap.
    pub fn set<'gc>(&self, mu: &Mutator<'gc>, gc: Gc<'gc, T::Branded<'gc>>) {
        self.check_heap(mu);
        let new = gc.start().as_ptr();
        if mu.mode() == Mode::Off {
            // Release: pairs with the acquire of `object` and `RootTable::visit_all`.
            self.slot().store(new, ordering!(Release, "root.set"));
        } else {
            // SAFETY: the mutation has the new object in hand.
            unsafe { mu.swap_marking(self.slot(), new) };
        }
    }
}

#[cold]
#[track_caller]
fn wrong_heap(root: u64, mutation: u64) -> ! {
    panic!(
        "linchpin: a root of heap {root} was used in a mutation of heap {mutation}; use it in \
         `mutate` of the heap whose `Mutator` made it"
    )
}

impl<T: ?Sized + 'static> Clone for Root<T> {
    /// Makes another root of the same object, inside or outside a mutation.
    fn clone(&self) -> Self {
        self.core.with_processor(|local| {
            // SAFETY: `with_processor` holds the processor; this root keeps the object alive meanwhile.
            unsafe { Self::insert(&self.core, local, self.object()) }
        })
    }
}

impl<T: ?Sized + 'static> Drop for Root<T> {
    fn drop(&mut self) {
        self.core.with_processor(|local| {
            if local.mode() != Mode::Off {
                // SAFETY: the processor is held, and the root keeps the object alive until it is removed below.
                unsafe { local.shade(&self.core, self.object()) };
            }
            self.core.roots.remove(self.slot);
        });
        self.core.settle_if_ended();
    }
}

impl<T: ?Sized + 'static> fmt::Debug for Root<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("type", &std::any::type_name::<T>())
            .field("heap", &self.core.id)
            .finish_non_exhaustive()
    }
}
