//! The atomics, locks and threads of every build but the model checker's.

#[cfg(not(linchpin_tsan))]
pub(crate) use super::lock::{Condvar, Mutex, MutexGuard};
#[cfg(linchpin_tsan)]
pub(crate) use super::lock_for_tsan::{Condvar, Mutex, MutexGuard};
pub(crate) use crossbeam_deque::{Injector, Steal};
pub(crate) use crossbeam_utils::{Backoff, CachePadded};
pub(crate) use parking_lot::RwLock;
pub(crate) use std::cell::{Cell, RefCell};
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::thread;

/// Declares a thread-local whose initial value is a constant.
macro_rules! const_thread_local {
    (static $name:ident: $type:ty = $init:expr;) => {
        std::thread_local! {
            static $name: $type = const { $init };
        }
    };
}
pub(crate) use const_thread_local;

/// Waits for some hundred nanoseconds.
pub(crate) fn spin_briefly() {
    for _ in 0..64 {
        std::hint::spin_loop();
    }
}

/// `parking_lot`'s mutex without contents: one byte.
pub(crate) struct RawMutex(parking_lot::RawMutex);

impl RawMutex {
    pub(crate) const fn new() -> Self {
        Self(parking_lot::lock_api::RawMutex::INIT)
    }

    #[inline(always)]
    pub(crate) fn lock(&self) {
        parking_lot::lock_api::RawMutex::lock(&self.0);
    }

    #[inline(always)]
    pub(crate) fn try_lock(&self) -> bool {
        parking_lot::lock_api::RawMutex::try_lock(&self.0)
    }

    /// # Safety
    /// The caller has it.
    #[inline(always)]
    pub(crate) unsafe fn unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { parking_lot::lock_api::RawMutex::unlock(&self.0) }
    }

    pub(crate) fn is_locked(&self) -> bool {
        parking_lot::lock_api::RawMutex::is_locked(&self.0)
    }
}

/// `parking_lot`'s lock of readers and writers without contents: one word. Readers go before writers that wait.
pub(crate) struct RawRwLock(parking_lot::RawRwLock);

impl RawRwLock {
    pub(crate) const fn new() -> Self {
        Self(parking_lot::lock_api::RawRwLock::INIT)
    }

    #[inline(always)]
    pub(crate) fn lock_shared(&self) {
        parking_lot::lock_api::RawRwLockRecursive::lock_shared_recursive(&self.0);
    }

    #[inline(always)]
    pub(crate) fn try_lock_shared(&self) -> bool {
        parking_lot::lock_api::RawRwLockRecursive::try_lock_shared_recursive(&self.0)
    }

    /// # Safety
    /// The caller has it, shared.
    #[inline(always)]
    pub(crate) unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's promise.
        unsafe { parking_lot::lock_api::RawRwLock::unlock_shared(&self.0) }
    }

    #[inline(always)]
    pub(crate) fn lock_exclusive(&self) {
        parking_lot::lock_api::RawRwLock::lock_exclusive(&self.0);
    }

    #[inline(always)]
    pub(crate) fn try_lock_exclusive(&self) -> bool {
        parking_lot::lock_api::RawRwLock::try_lock_exclusive(&self.0)
    }

    /// # Safety
    /// The caller has it, alone.
    #[inline(always)]
    pub(crate) unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's promise.
        unsafe { parking_lot::lock_api::RawRwLock::unlock_exclusive(&self.0) }
    }

    pub(crate) fn is_locked_exclusive(&self) -> bool {
        parking_lot::lock_api::RawRwLock::is_locked_exclusive(&self.0)
    }
}

/// What is behind a raw lock.
#[repr(transparent)]
pub(crate) struct Contents<T>(std::cell::UnsafeCell<T>);

impl<T> Contents<T> {
    pub(crate) const fn new(contents: T) -> Self {
        Self(std::cell::UnsafeCell::new(contents))
    }

    /// # Safety
    /// Nobody changes them for as long as the reference is used.
    #[inline(always)]
    pub(crate) unsafe fn read(&self) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &*self.0.get() }
    }

    /// # Safety
    /// Nobody else looks at them for as long as the reference is used.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller has the lock")]
    pub(crate) unsafe fn write(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}
