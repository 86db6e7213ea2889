//! The one place that names the atomics, locks, threads and holder's cells the crate uses.
//!
//! Every module takes them from here, so that under `--cfg loom` those of the model checker stand in for the standard
//! ones, and what is checked is the source as it is, not a copy of it. Names and interfaces are those of the native
//! ones; where loom has none, `loom.rs` has a shim.
//!
//! What stays the standard library's under loom too: `Arc` and `Weak`, as the heap needs `Arc::new_cyclic`, which loom has
//! not. So the ordering of the last owner after the others is not checked; it is not ours.

/// The ordering of an access: `ordering!(Release, "processor.give_back")` is `Ordering::Release`. By its name the model
/// checker's tests weaken it to `Relaxed`, to see that they would notice (`loom_tests`).
#[cfg(not(loom))]
macro_rules! ordering {
    ($ordering:ident, $name:literal) => {
        $crate::sync::Ordering::$ordering
    };
}
#[cfg(loom)]
macro_rules! ordering {
    ($ordering:ident, $name:literal) => {
        $crate::sync::weakened($crate::sync::Ordering::$ordering, $name)
    };
}
pub(crate) use ordering;

/// Whether to take two steps in the wrong order: `reordered!("sweep.count")` is false, but in a test of the model checker that
/// asks for it by name, to see that it would notice (`loom_tests`).
#[cfg(not(loom))]
macro_rules! reordered {
    ($name:literal) => {
        false
    };
}
#[cfg(loom)]
macro_rules! reordered {
    ($name:literal) => {
        $crate::sync::is_sabotaged($name)
    };
}
pub(crate) use reordered;

#[cfg(not(any(loom, linchpin_tsan)))]
mod lock;
#[cfg(linchpin_tsan)]
mod lock_for_tsan;
#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod native;

#[cfg(loom)]
pub(crate) use loom::*;
#[cfg(not(loom))]
pub(crate) use native::*;

pub(crate) use std::sync::atomic::{AtomicPtr as StaticAtomicPtr, AtomicU64 as StaticAtomicU64};
pub(crate) use std::sync::{Arc, Weak};
