//! The standard library's mutex and condition variable, without poison.
//!
//! Not `parking_lot`'s, which hands a mutex over to who waits for it, now and then, so that nobody waits for ever. Where
//! mutations run on all cores, that is the collector's thread, which waits for a core, too, for a time slice of 4 ms: as long the
//! mutex is nobody's, and mutations wait for it, or find it taken. Here who comes first gets it, and who has run out of luck tries again.
//!
//! (The locks around an object's contents, and the table of classes, which is hardly ever written, are `parking_lot`'s.) Who notifies does so
//! without the mutex where it can: who is woken may take the core at once, and then waits for it.
//!
//! Nothing that is guarded is left half changed by a panic, so poison has no use.
//!
//! Under the thread sanitizer `parking_lot`'s stand in for them (`--cfg linchpin_tsan`): it sees what is compiled with it, which the standard library
//! is not.

use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

/// Who has it has the mutex.
pub(crate) struct MutexGuard<'a, T> {
    /// `None` only inside [`Condvar`].
    guard: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { guard: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)) }
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard { guard: Some(guard) })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.guard.as_ref().expect("it is given back before anybody can look")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("it is given back before anybody can look")
    }
}

#[derive(Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.guard = guard.guard.take().map(|guard| self.0.wait(guard).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, most: Duration) {
        let wait = |guard| self.0.wait_timeout(guard, most).unwrap_or_else(PoisonError::into_inner).0;
        guard.guard = guard.guard.take().map(wait);
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
