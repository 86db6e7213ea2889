//! A lock of readers and writers in an object.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::{Traced, after_change, guard_was_forgotten};
use crate::collector::mark::Tracer;
use crate::mutator::Mutator;
use crate::sync::{Contents, RawRwLock};
use crate::trace::{Inspector, Trace};

/// A lock of readers and writers around anything that may hold pointers.
///
/// One word of lock, one byte for the collector, no allocation. See [`GcMutex`](super::GcMutex) for what it costs and for
/// waiting and forgotten guards. Readers never wait for the collector, and owe it nothing. A mutation may read what it reads
/// already: readers go before writers that wait, so writers may have to wait long where there is always a reader. To write what
/// one reads, or to read what one writes, is to wait for oneself.
///
/// ```
/// use std::collections::HashMap;
/// use linchpin::{Gc, GcRwLock, Heap, Trace};
///
/// #[derive(Trace)]
/// struct Globals<'gc> {
///     by_name: GcRwLock<HashMap<String, Gc<'gc, i64>>>,
/// }
///
/// let heap = Heap::new();
/// let root = heap.mutate(|mu| mu.root(mu.alloc(Globals { by_name: GcRwLock::default() })));
/// heap.mutate(|mu| _ = root.get(mu).by_name.write(mu).insert("x".to_owned(), mu.alloc(7)));
/// heap.collect();
/// heap.mutate(|mu| assert_eq!(*root.get(mu).by_name.read(mu)["x"], 7));
/// ```
pub struct GcRwLock<T> {
    raw: RawRwLock,
    traced: Traced,
    contents: Contents<T>,
}

// SAFETY: like the lock of the standard library.
unsafe impl<T: Send> Send for GcRwLock<T> {}
// SAFETY: as above: several threads read at the same time, and any of them may be the one that changes it.
unsafe impl<T: Send + Sync> Sync for GcRwLock<T> {}

impl<T> GcRwLock<T> {
    /// A lock around a value.
    #[cfg(not(loom))]
    pub const fn new(contents: T) -> Self {
        Self { raw: RawRwLock::new(), traced: Traced::never(), contents: Contents::new(contents) }
    }

    /// A lock around a value. (Loom's atomics are not made at compile time.)
    #[cfg(loom)]
    pub fn new(contents: T) -> Self {
        Self { raw: RawRwLock::new(), traced: Traced::never(), contents: Contents::new(contents) }
    }

    /// The contents, of a lock that nobody else can have.
    ///
    /// # Panics
    /// If a guard was forgotten with which the contents could be changed.
    pub fn get_mut(&mut self) -> &mut T {
        if self.raw.is_locked_exclusive() {
            guard_was_forgotten();
        }
        self.contents.get_mut()
    }

    /// The contents, without the lock.
    ///
    /// # Panics
    /// If a guard was forgotten with which the contents could be changed.
    pub fn into_inner(self) -> T {
        if self.raw.is_locked_exclusive() {
            guard_was_forgotten();
        }
        self.contents.into_inner()
    }
}

impl<T: Trace> GcRwLock<T> {
    /// Takes the lock to read; waits while another mutation writes.
    #[inline]
    pub fn read<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> GcRwLockReadGuard<'a, 'gc, T>
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.raw.lock_shared();
        GcRwLockReadGuard { lock: self, mu }
    }

    /// Takes the lock to read, if nobody writes.
    #[inline]
    pub fn try_read<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> Option<GcRwLockReadGuard<'a, 'gc, T>>
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.raw.try_lock_shared().then(|| GcRwLockReadGuard { lock: self, mu })
    }

    /// Takes the lock to write; waits while other mutations read or write, or a marker looks at the contents.
    #[inline]
    pub fn write<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> GcRwLockWriteGuard<'a, 'gc, T>
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.raw.lock_exclusive();
        self.locked(mu)
    }

    /// Takes the lock to write, if nobody reads or writes.
    ///
    /// It may also fail while the collector looks at the contents, once a cycle.
    #[inline]
    pub fn try_write<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> Option<GcRwLockWriteGuard<'a, 'gc, T>>
    where
        T: Trace<Branded<'gc> = T>,
    {
        self.raw.try_lock_exclusive().then(|| self.locked(mu))
    }

    /// The guard for who has just taken the lock to write.
    #[inline(always)]
    fn locked<'a, 'gc>(&'a self, mu: &'a Mutator<'gc>) -> GcRwLockWriteGuard<'a, 'gc, T> {
        // SAFETY: the lock is taken, so nobody changes the contents.
        self.traced.before_change(mu, unsafe { self.contents.read() });
        GcRwLockWriteGuard { lock: self, mu }
    }
}

/// The right to read what is in a [`GcRwLock`].
#[must_use = "the lock is given back when the guard is dropped"]
pub struct GcRwLockReadGuard<'a, 'gc, T: Trace> {
    lock: &'a GcRwLock<T>,
    #[expect(dead_code, reason = "keeps the guard in its mutation")]
    mu: &'a Mutator<'gc>,
}

/// The right to change what is in a [`GcRwLock`].
#[must_use = "the lock is given back when the guard is dropped"]
pub struct GcRwLockWriteGuard<'a, 'gc, T: Trace> {
    lock: &'a GcRwLock<T>,
    mu: &'a Mutator<'gc>,
}

// SAFETY: a shared guard gives shared access to the contents.
unsafe impl<T: Trace + Sync> Sync for GcRwLockReadGuard<'_, '_, T> {}
// SAFETY: as above.
unsafe impl<T: Trace + Sync> Sync for GcRwLockWriteGuard<'_, '_, T> {}

impl<T: Trace> Deref for GcRwLockReadGuard<'_, '_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: while the guard has the lock nobody writes.
        unsafe { self.lock.contents.read() }
    }
}

impl<T: Trace> Drop for GcRwLockReadGuard<'_, '_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the guard has the lock, shared.
        unsafe { self.lock.raw.unlock_shared() }
    }
}

impl<T: Trace> Deref for GcRwLockWriteGuard<'_, '_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard has the lock, and lends the contents only for as long as it is borrowed.
        unsafe { self.lock.contents.read() }
    }
}

impl<T: Trace> DerefMut for GcRwLockWriteGuard<'_, '_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and it is borrowed by nobody else.
        unsafe { self.lock.contents.write() }
    }
}

impl<T: Trace> Drop for GcRwLockWriteGuard<'_, '_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        after_change(self.mu, &**self);
        // SAFETY: the guard has the lock, alone.
        unsafe { self.lock.raw.unlock_exclusive() }
    }
}

// SAFETY: the contents are traced, but for those of a lock that somebody has to write, or is about to have: who has it shades
// them, or nobody can ever reach them again (module head).
unsafe impl<T: Trace> Trace for GcRwLock<T> {
    type Branded<'b> = GcRwLock<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;

    fn trace(&self, tracer: &mut Tracer<'_>) {
        if self.raw.try_lock_shared() {
            // SAFETY: the lock is taken, so nobody changes the contents.
            self.traced.trace(tracer, unsafe { self.contents.read() });
            // SAFETY: it was taken above. (A panic in between ends the process.)
            unsafe { self.raw.unlock_shared() }
        } else {
            tracer.pass_by();
        }
    }

    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if inspector.nothing_moves() && !self.raw.is_locked_exclusive() {
            // SAFETY: no mutation runs, so nobody writes, or will meanwhile.
            unsafe { self.contents.read() }.inspect(inspector);
        }
    }
}

impl<T: Default> Default for GcRwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for GcRwLock<T> {
    fn from(contents: T) -> Self {
        Self::new(contents)
    }
}

impl<T> fmt::Debug for GcRwLock<T> {
    /// Does not show the contents, which may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcRwLock").field("written", &self.raw.is_locked_exclusive()).finish_non_exhaustive()
    }
}

impl<T: Trace + fmt::Debug> fmt::Debug for GcRwLockReadGuard<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Trace + fmt::Debug> fmt::Debug for GcRwLockWriteGuard<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
