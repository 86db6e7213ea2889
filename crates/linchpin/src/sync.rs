//! The one place that names the atomics, locks and threads the crate uses.
//!
//! Every module takes them from here, so that a model checker's versions can stand in for the standard
//! ones without a change elsewhere.

pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Weak};
pub(crate) use std::thread;
