//! A mutex in an object.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::{Traced, after_change, guard_was_forgotten};
use crate::collector::mark::Tracer;
use crate::mutator::Mutator;
use crate::sync::{Contents, RawMutex, reordered};
use crate::trace::{Inspector, Trace};

/// A mutex around anything that may hold pointers: the way to have a `Vec` of pointers, or an enum of several words, that
/// changes.
///
/// One byte of lock, one for the collector, no allocation. Waiting threads sleep.
///
/// While no cycle marks, it costs what a mutex costs. In each cycle, the first mutation that takes it shades what the contents
/// lead to (unless a marker was there first), which takes time in proportion to them; and so does every taking and giving back
/// while a cycle begins, until each mutation that was under way then has ended.
///
/// So put few words behind a lock, and much into objects: a map of a million entries is better a table of [`GcCell`](crate::GcCell)s, or
/// many maps with a lock each.
///
/// # Waiting
///
/// Give the guard back soon: who waits for it waits inside a mutation, which delays the end of a cycle, and keeps its processor. So
/// with a guard in hand do not wait for another thread's [`mutate`](crate::Heap::mutate) of the same heap: all processors may
/// belong to mutations that wait for the guard. As any mutex, it is not for taking twice: a mutation within a mutation of the same
/// heap, which has the same processor, would wait for itself.
///
/// ```
/// use linchpin::{Gc, GcMutex, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Mailbox<'gc> {
///     messages: GcMutex<Vec<Gc<'gc, str>>>,
/// }
///
/// let heap = Heap::new();
/// let root = heap.mutate(|mu| mu.root(mu.alloc(Mailbox { messages: GcMutex::new(Vec::new()) })));
/// heap.mutate(|mu| root.get(mu).messages.lock(mu).push(mu.alloc_str("hello")));
/// heap.collect();
/// heap.mutate(|mu| assert_eq!(&*root.get(mu).messages.lock(mu)[0], "hello"));
/// ```
///
/// # Forgotten guards
///
/// A guard that is forgotten (`mem::forget`) leaves the mutex locked for ever, as it does everywhere. Here its contents are
/// also forgotten: the collector does not keep alive what they lead to.
pub struct GcMutex<T> {
    raw: RawMutex,
    traced: Traced,
    contents: Contents<T>,
}

// SAFETY: like a mutex of the standard library: it gives access to its contents to one thread at a time.
unsafe impl<T: Send> Send for GcMutex<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for GcMutex<T> {}

impl<T> GcMutex<T> {
    /// A mutex around a value.
    #[cfg(not(loom))]
    pub const fn new(contents: T) -> Self {
        Self { raw: RawMutex::new(), traced: Traced::never(), contents: Contents::new(contents) }
    }

    /// A mutex around a value. (Loom's atomics are not made at compile time.)
    #[cfg(loom)]
    pub fn new(contents: T) -> Self {
        Self { raw: RawMutex::new(), traced: Traced::never(), contents: Contents::new(contents) }
    }

    /// The contents, of a mutex that nobody else can have.
    ///
    /// # Panics
    /// If a guard was forgotten.
    pub fn get_mut(&mut self) -> &mut T {
        if self.raw.is_locked() {
            guard_was_forgotten();
        }
        self.contents.get_mut()
    }

    /// The contents, without the mutex.
    ///
    /// # Panics
    /// If a guard was forgotten.
    pub fn into_inner(self) -> T {
        if self.raw.is_locked() {
            guard_was_forgotten();
        }
        self.contents.into_inner()
    }
}

impl<T: Trace> GcMutex<T> {
    /// Takes the mutex; waits while another mutation has it, or a marker looks at the contents.
    #[inline]
    pub fn lock<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> GcMutexGuard<'a, 'gc, T>
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.raw.lock();
        self.locked(mu)
    }

    /// Takes the mutex if nobody has it.
    ///
    /// It may also fail while the collector looks at the contents, once a cycle.
    #[inline]
    pub fn try_lock<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> Option<GcMutexGuard<'a, 'gc, T>>
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.raw.try_lock().then(|| self.locked(mu))
    }

    /// The guard for who has just taken the mutex.
    #[inline(always)]
    fn locked<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> GcMutexGuard<'a, 'gc, T> {
        // SAFETY: the mutex is taken, so nobody changes the contents.
        self.traced.before_change(mu, unsafe { self.contents.read() });
        GcMutexGuard { mutex: self, mu }
    }
}

/// The right to change what is in a [`GcMutex`]; dropping it gives the mutex back.
#[must_use = "the mutex is given back when the guard is dropped"]
pub struct GcMutexGuard<'a, 'gc, T: Trace> {
    mutex: &'a GcMutex<T>,
    mu: &'a Mutator<'gc>,
}

// SAFETY: a shared guard gives shared access to the contents.
unsafe impl<T: Trace + Sync> Sync for GcMutexGuard<'_, '_, T> {}

impl<T: Trace> Deref for GcMutexGuard<'_, '_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard has the mutex, and lends the contents only for as long as it is borrowed.
        unsafe { self.mutex.contents.read() }
    }
}

impl<T: Trace> DerefMut for GcMutexGuard<'_, '_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and it is borrowed by nobody else.
        unsafe { self.mutex.contents.write() }
    }
}

impl<T: Trace> Drop for GcMutexGuard<'_, '_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        after_change(self.mu, &**self);
        // SAFETY: the guard has the mutex.
        unsafe { self.mutex.raw.unlock() }
    }
}

// SAFETY: the contents are traced, but for those of a mutex that is taken: who has it shades them, or nobody can ever
// reach them again (module head).
unsafe impl<T: Trace> Trace for GcMutex<T> {
    type Branded<'b> = GcMutex<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    fn trace(&self, tracer: &mut Tracer<'_>) {
        if self.raw.try_lock() || reordered!("lock.look") {
            // SAFETY: the mutex is taken, so nobody changes the contents.
            self.traced.trace(tracer, unsafe { self.contents.read() });
            // SAFETY: it was taken above. (A panic in between ends the process.)
            unsafe { self.raw.unlock() }
        } else {
            tracer.pass_by();
        }
    }

    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if inspector.nothing_moves() && !self.raw.is_locked() {
            // SAFETY: no mutation runs, so nobody has the mutex, or will have it meanwhile.
            unsafe { self.contents.read() }.inspect(inspector);
        }
    }
}

impl<T: Default> Default for GcMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for GcMutex<T> {
    fn from(contents: T) -> Self {
        Self::new(contents)
    }
}

impl<T> fmt::Debug for GcMutex<T> {
    /// Does not show the contents, which may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcMutex").field("locked", &self.raw.is_locked()).finish_non_exhaustive()
    }
}

impl<T: Trace + fmt::Debug> fmt::Debug for GcMutexGuard<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Trace + fmt::Display> fmt::Display for GcMutexGuard<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
