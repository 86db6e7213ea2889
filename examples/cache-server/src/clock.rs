//! The time that expiry goes by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Tells how many milliseconds have passed since some moment.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock, which never goes back; since it was asked for.
    System(Instant),
    /// One that stands still until it is set: for tests.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// A clock that stands still, and what to set it by.
    pub fn manual() -> (Self, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000));
        (Self::Manual(Arc::clone(&time)), time)
    }

    /// The time, in milliseconds.
    pub fn now(&self) -> u64 {
        match self {
            Self::System(start) => start.elapsed().as_millis() as u64,
            Self::Manual(time) => time.load(Ordering::Relaxed),
        }
    }
}
