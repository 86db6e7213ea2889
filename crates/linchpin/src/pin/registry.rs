//! The inner pinners of a heap, for the leak report at its end.

use std::ptr::NonNull;

use super::inner::Inner;
use crate::sync::Mutex;

/// Every inner pinner there is.
#[derive(Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inners: Vec<Registered>,
    /// How many were made, and freed.
    created: u64,
    freed: u64,
}

struct Registered(NonNull<Inner>);

// SAFETY: the address only; what it leads to is read under the conditions of `for_each`.
unsafe impl Send for Registered {}

impl Registry {
    pub(super) fn add(&self, inner: NonNull<Inner>) {
        let mut state = self.state.lock();
        // SAFETY: `position` is touched only under the lock; the inner is alive. No reference to the whole inner is
        // made, since its owner may be using the rest.
        unsafe { (*inner.as_ptr()).position = state.inners.len() };
        state.inners.push(Registered(inner));
        state.created += 1;
    }

    pub(super) fn remove(&self, inner: NonNull<Inner>) {
        let mut state = self.state.lock();
        // SAFETY: as in `add`.
        let position = unsafe { (*inner.as_ptr()).position };
        state.inners.swap_remove(position);
        if let Some(moved) = state.inners.get(position) {
            // SAFETY: as in `add`; what is registered is alive.
            unsafe { (*moved.0.as_ptr()).position = position };
        }
        state.freed += 1;
    }

    /// How many were made, and freed.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.created, state.freed)
    }

    /// Calls `f` with each.
    pub(crate) fn for_each(&self, mut f: impl FnMut(NonNull<Inner>)) {
        for registered in &self.state.lock().inners {
            f(registered.0);
        }
    }
}
