//! What the peers in Rust share: the workloads' arguments, random numbers, latencies, and the line of JSON that each prints.
//!
//! Each program takes `WORKLOAD --threads T [--secs S | --steps N]` and the sizes that `linchpin bench WORKLOAD` takes, under the
//! same names, and prints one line. What a workload does, and how its `check` is computed, stands in
//! `crates/linchpin-cli/src/bench/CHECKS.md`; the programs differ in how they allocate and in nothing else.

pub mod args;
pub mod counted;
pub mod histogram;
pub mod plan;
pub mod random;
pub mod report;
pub mod timing;

pub use args::{Args, Limit};
pub use histogram::Histogram;
pub use random::Random;
pub use report::{Outcome, Usage, cannot_express, fail};

/// Bytes of a buffer in the cache.
pub const BUFFER: usize = 1024;

/// Slots of a thread's table in `alloc`.
pub const TABLE: usize = 65_536;

/// Objects that `alloc` allocates between two chances to collect, where a collector wants to be told.
pub const BATCH: u64 = 1_000;

/// Steps of a unit of `churn`.
pub const UNIT: u64 = 100;
