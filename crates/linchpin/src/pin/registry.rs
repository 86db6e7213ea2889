//! The inner pinners of a heap, for the leak report at its end.

use std::ptr::NonNull;

use super::inner::Inner;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Every inner pinner there is.
#[derive(Default)]
pub(crate) struct Registry {
    inners: Mutex<Vec<Registered>>,
    created: AtomicU64,
    freed: AtomicU64,
}

struct Registered(NonNull<Inner>);

// SAFETY: the address only; what it leads to is read under the conditions of `for_each`.
unsafe impl Send for Registered {}

impl Registry {
    pub(super) fn add(&self, inner: NonNull<Inner>) {
        let mut inners = self.inners.lock();
        // SAFETY: `position` is touched only under the lock; the inner is alive. No reference to the whole inner is
        // made, since its owner may be using the rest.
        unsafe { (*inner.as_ptr()).position = inners.len() };
        inners.push(Registered(inner));
        self.created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, inner: NonNull<Inner>) {
        let mut inners = self.inners.lock();
        // SAFETY: as in `add`.
        let position = unsafe { (*inner.as_ptr()).position };
        inners.swap_remove(position);
        if let Some(moved) = inners.get(position) {
            // SAFETY: as in `add`; what is registered is alive.
            unsafe { (*moved.0.as_ptr()).position = position };
        }
        self.freed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were made, and freed.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.created.load(Ordering::Relaxed), self.freed.load(Ordering::Relaxed))
    }

    /// Calls `f` with each.
    pub(super) fn for_each(&self, mut f: impl FnMut(NonNull<Inner>)) {
        for registered in &*self.inners.lock() {
            f(registered.0);
        }
    }
}
