//! The model checker's atomics, locks and threads, with the interfaces of the native ones.
//!
//! Time does not pass in a model: to sleep, to spin and to wait with a limit is to let the others go on. Loom's threads
//! take turns on one thread of the system, so the shims may keep what they hold in cells and locks of the standard library.

use std::cell::{Ref, RefMut};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use loom::sync as model;

pub(crate) use crossbeam_utils::CachePadded;
pub(crate) use loom::cell::Cell;
pub(crate) use loom::sync::atomic::Ordering;

/// Loom's atomics, but that all loads are explored.
///
/// Loom remembers only the last access of an atomic, whoever made it. So where one thread loads, and another one loads and then
/// changes the value, it does not see that the change and the first load could come in the other order, and never tries it.
/// Here a load is preceded by a relaxed store to a companion, which orders nothing, and makes every pair of loads one that
/// loom tries in both orders; with them come the orders of what follows each.
macro_rules! atomics {
    ($($name:ident $(<$parameter:ident>)?: $value:ty),* $(,)?) => {$(
        #[derive(Debug)]
        pub(crate) struct $name $(<$parameter>)? {
            inner: model::atomic::$name $(<$parameter>)?,
            loaded: model::atomic::AtomicBool,
        }

        impl $(<$parameter>)? $name $(<$parameter>)? {
            pub(crate) fn new(value: $value) -> Self {
                Self { inner: model::atomic::$name::new(value), loaded: model::atomic::AtomicBool::new(false) }
            }

            #[track_caller]
            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                self.loaded.store(true, Ordering::Relaxed);
                self.inner.load(ordering)
            }
        }

        impl $(<$parameter>)? Deref for $name $(<$parameter>)? {
            type Target = model::atomic::$name $(<$parameter>)?;

            fn deref(&self) -> &Self::Target {
                &self.inner
            }
        }

        impl $(<$parameter>)? DerefMut for $name $(<$parameter>)? {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.inner
            }
        }
    )*};
}

atomics!(AtomicBool: bool, AtomicPtr<T>: *mut T, AtomicU8: u8, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize);

/// Defaults, where `new` has one.
macro_rules! defaults {
    ($($name:ident),*) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self::new(Default::default())
            }
        }
    )*};
}

defaults!(AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize);

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}

/// The environment variable with the name of the access that a test weakens, or of the steps that it swaps.
pub(crate) const SABOTAGE: &str = "LINCHPIN_SABOTAGE";

/// Whether a test asks for what has this name to be done wrong.
pub(crate) fn is_sabotaged(name: &str) -> bool {
    static SABOTAGED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    SABOTAGED.get_or_init(|| std::env::var(SABOTAGE).ok()).as_deref() == Some(name)
}

/// The ordering of the access of this name: weakened if a test asks for that.
pub(crate) fn weakened(ordering: Ordering, name: &str) -> Ordering {
    if is_sabotaged(name) { Ordering::Relaxed } else { ordering }
}

/// Threads, with what loom's module lacks.
pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, JoinHandle, panicking, yield_now};
    pub(crate) use std::thread::available_parallelism;

    pub(crate) fn sleep(_: std::time::Duration) {
        yield_now();
    }
}

/// Declares a thread-local whose initial value is a constant.
macro_rules! const_thread_local {
    (static $name:ident: $type:ty = $init:expr;) => {
        loom::thread_local! {
            static $name: $type = $init;
        }
    };
}
pub(crate) use const_thread_local;

/// Lets the others go on.
pub(crate) fn spin_briefly() {
    thread::yield_now();
}

/// Crossbeam's, with one step before it is worth going to sleep.
#[derive(Default)]
pub(crate) struct Backoff(std::cell::Cell<bool>);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.0.get()
    }

    pub(crate) fn snooze(&self) {
        self.0.set(true);
        thread::yield_now();
    }
}

/// The native mutex.
///
/// Loom's `try_lock` knows what the lock is at that moment. The native one does not: where its compare-and-swap fails, it has looked by
/// a relaxed load, and may have found a lock taken that has been given back already. `tried` is that word, for locks that are only ever
/// taken by `try_lock`.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    lock: model::Mutex<T>,
    tried: AtomicBool,
}

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` only inside `Condvar`.
    guard: Option<model::MutexGuard<'a, T>>,
    tried: bool,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { lock: model::Mutex::new(value), tried: AtomicBool::new(false) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, guard: Some(self.lock_inside()), tried: false }
    }

    fn lock_inside(&self) -> model::MutexGuard<'_, T> {
        self.lock.lock().expect("loom's locks are never poisoned")
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // Relaxed: as in the native one.
        if self.tried.load(Ordering::Relaxed) {
            return None;
        }
        let guard = self.lock.try_lock().ok()?;
        self.tried.store(true, Ordering::Relaxed);
        Some(MutexGuard { mutex: self, guard: Some(guard), tried: true })
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.tried {
            // Release: as in the native one.
            self.mutex.tried.store(false, Ordering::Release);
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("a guard in use has its lock")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("a guard in use has its lock")
    }
}

/// The native condition variable.
#[derive(Default)]
pub(crate) struct Condvar(model::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let inside = guard.guard.take().expect("a guard in use has its lock");
        guard.guard = Some(self.0.wait(inside).expect("loom's locks are never poisoned"));
    }

    /// The limit may be over at any time, and whoever waits this way must be right without being woken.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) {
        guard.guard = None;
        thread::yield_now();
        guard.guard = Some(guard.mutex.lock_inside());
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// `parking_lot`'s lock of readers and writers.
pub(crate) struct RwLock<T>(model::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(model::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> model::RwLockReadGuard<'_, T> {
        self.0.read().expect("loom's locks are never poisoned")
    }

    pub(crate) fn write(&self) -> model::RwLockWriteGuard<'_, T> {
        self.0.write().expect("loom's locks are never poisoned")
    }
}

/// A value that is made once.
pub(crate) struct OnceLock<T> {
    made: AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { made: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the release in `get_or_init`.
        self.made.load(Ordering::Acquire).then(|| self.value.get()).flatten()
    }

    /// Whoever makes the value holds a lock, so two never do at once.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let value = self.value.get_or_init(make);
        self.made.store(true, Ordering::Release);
        value
    }
}

/// A `RefCell` that says so when two threads borrow it with no order between them.
pub(crate) struct RefCell<T> {
    tracked: loom::cell::UnsafeCell<()>,
    value: std::cell::RefCell<T>,
}

impl<T> RefCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { tracked: loom::cell::UnsafeCell::new(()), value: std::cell::RefCell::new(value) }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.tracked.with(|_| ());
        self.value.borrow()
    }

    pub(crate) fn borrow_mut(&self) -> RefMut<'_, T> {
        self.tracked.with_mut(|_| ());
        self.value.borrow_mut()
    }

    pub(crate) fn take(&self) -> T
    where
        T: Default,
    {
        std::mem::take(&mut *self.borrow_mut())
    }
}

/// Crossbeam's queue of work.
///
/// That it is empty is told, as there, by an atomic, not by a lock that would order more than that. Crossbeam's
/// accesses are sequentially consistent, which orders them with nothing else; loom knows less than that, and these are
/// what is left of it.
pub(crate) struct Injector<T> {
    length: AtomicUsize,
    batches: model::Mutex<VecDeque<T>>,
}

/// What `steal` found.
pub(crate) enum Steal<T> {
    Success(T),
    Empty,
    #[expect(dead_code, reason = "crossbeam's may be overtaken, the shim is not")]
    Retry,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self { length: AtomicUsize::new(0), batches: model::Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn push(&self, batch: T) {
        let mut batches = self.batches.lock().expect("loom's locks are never poisoned");
        batches.push_back(batch);
        self.length.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        if self.is_empty() {
            return Steal::Empty;
        }
        let mut batches = self.batches.lock().expect("loom's locks are never poisoned");
        match batches.pop_front() {
            Some(batch) => {
                self.length.fetch_sub(1, Ordering::AcqRel);
                Steal::Success(batch)
            }
            None => Steal::Empty,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }
}

/// `parking_lot`'s mutex without contents. Its orderings are `parking_lot`'s own: acquire to take it, release to give it back.
pub(crate) struct RawMutex(AtomicBool);

impl RawMutex {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(crate) fn lock(&self) {
        while !self.try_lock() {
            thread::yield_now();
        }
    }

    pub(crate) fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    pub(crate) unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `parking_lot`'s lock of readers and writers without contents.
pub(crate) struct RawRwLock(AtomicUsize);

impl RawRwLock {
    const WRITER: usize = usize::MAX;

    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    pub(crate) fn lock_shared(&self) {
        while !self.try_lock_shared() {
            thread::yield_now();
        }
    }

    pub(crate) fn try_lock_shared(&self) -> bool {
        let more = |readers| (readers != Self::WRITER).then(|| readers + 1);
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) unsafe fn unlock_shared(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn lock_exclusive(&self) {
        while !self.try_lock_exclusive() {
            thread::yield_now();
        }
    }

    pub(crate) fn try_lock_exclusive(&self) -> bool {
        self.0.compare_exchange(0, Self::WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    pub(crate) unsafe fn unlock_exclusive(&self) {
        self.0.store(0, Ordering::Release);
    }

    pub(crate) fn is_locked_exclusive(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::WRITER
    }
}

/// What is behind a raw lock. Loom checks that its accesses are ordered, each as of the moment in which it begins.
pub(crate) struct Contents<T> {
    tracked: loom::cell::UnsafeCell<()>,
    contents: std::cell::UnsafeCell<T>,
}

impl<T> Contents<T> {
    pub(crate) fn new(contents: T) -> Self {
        Self { tracked: loom::cell::UnsafeCell::new(()), contents: std::cell::UnsafeCell::new(contents) }
    }

    pub(crate) unsafe fn read(&self) -> &T {
        self.tracked.with(|_| ());
        // SAFETY: the caller's promise.
        unsafe { &*self.contents.get() }
    }

    #[expect(clippy::mut_from_ref, reason = "the caller has the lock")]
    pub(crate) unsafe fn write(&self) -> &mut T {
        self.tracked.with_mut(|_| ());
        // SAFETY: the caller's promise.
        unsafe { &mut *self.contents.get() }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.contents.get_mut()
    }

    pub(crate) fn into_inner(self) -> T {
        self.contents.into_inner()
    }
}
