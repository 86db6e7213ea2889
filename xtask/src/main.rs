//! Development tasks of the linchpin workspace: `cargo xtask TASK`.
//!
//! Each task prints what it runs, ends with a line of figures, and exits nonzero on a finding. A missing tool is reported
//! as SKIPPED, by name; a task that can do nothing without it exits with [`EXIT_SKIPPED`], so that nobody takes that for a
//! pass, and a script can tell it from a finding.

mod faults;
mod loom;
mod model;
mod mutants;
mod peers;
mod sanitizers;
mod smoke;
mod stress;
mod tools;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

/// What a task exits with that could not run for want of a tool.
const EXIT_SKIPPED: u8 = 3;

/// Development tasks of the linchpin workspace.
#[derive(Parser)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the program and run each of its jobs once, briefly, on real input.
    Smoke,
    /// Run the stress program over seeds and thread counts.
    Stress(stress::Options),
    /// Search the large configurations of the protocol's model (some minutes, 4 GB of memory).
    Model,
    /// Explore the lock-free pieces under loom, with weakened orderings and reordered steps that must be noticed (some minutes).
    Loom(loom::Options),
    /// Break the library in small ways that some test must notice (an hour; `--quick` a minute).
    Mutants(mutants::Options),
    /// Run the benchmarks beside Go, Boehm's collector, gc-arena, dumpster, Box and Arc, by turns, and compare.
    Peers(peers::Options),
    /// Run the long forms of the tests of faults: 100,000 heaps (some minutes).
    Faults,
    /// Run tests, stress and the C job under the address sanitizer, leaks included (nightly toolchain).
    Asan(sanitizers::Options),
    /// Run tests, stress and the C job under the thread sanitizer (nightly toolchain).
    Tsan(sanitizers::Options),
    /// Run the C job under memcheck (valgrind).
    Valgrind(sanitizers::Options),
}

fn main() -> ExitCode {
    let task = Xtask::parse().task;
    let started = Instant::now();
    let outcome = match task {
        Task::Smoke => smoke::run_all(),
        Task::Stress(options) => stress::run_all(&options),
        Task::Model => model::search(),
        Task::Loom(options) => loom::explore(&options),
        Task::Mutants(options) => mutants::try_all(&options),
        Task::Peers(options) => peers::run_all(&options),
        Task::Asan(options) => sanitizers::address::run_all(&options),
        Task::Tsan(options) => sanitizers::thread::run_all(&options),
        Task::Valgrind(options) => sanitizers::memcheck::run_all(&options),
        Task::Faults => faults::run_long(),
    };
    match outcome {
        Ok(figures) => {
            println!("xtask: ok: {figures}; {} s", started.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(error) if error.is::<tools::Skipped>() => {
            eprintln!("xtask: SKIPPED: {error}");
            ExitCode::from(EXIT_SKIPPED)
        }
        Err(error) => {
            eprintln!("xtask: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
