//! The address sanitizer: memory that is used outside its bounds or its time, and leaks.
//!
//! What lies in the heap's region is one mapping to it: it knows the allocations of Rust and C, not the objects in the region.
//! For those there is the verifier's poison (`stress --paranoid`).

use anyhow::Result;

use super::{LeftOut, Options, Sanitizer};

const LEFT_OUT: [LeftOut; 0] = [];

pub(crate) fn run_all(options: &Options) -> Result<String> {
    let sanitizer = Sanitizer::new("address", "asan", "ASAN_OPTIONS", &LEFT_OUT)?;
    let planted = sanitizer.planted()?;
    planted.must_be_reported("use-after-free", "AddressSanitizer: heap-use-after-free")?;
    planted.must_be_reported("leak", "LeakSanitizer: detected memory leaks")?;
    planted.must_be_clean("ordered")?;
    sanitizer.run_all(options)
}
