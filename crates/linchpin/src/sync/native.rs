//! The atomics, locks and threads of every build but the model checker's.

pub(crate) use crossbeam_deque::{Injector, Steal};
pub(crate) use crossbeam_utils::Backoff;
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
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
