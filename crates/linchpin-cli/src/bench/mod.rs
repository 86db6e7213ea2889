//! The benchmarks: Go's Pinner benchmarks on this heap and their comparison; what a store costs; and the workloads that
//! programs for other collectors run as well.
//!
//! - [`report`], [`pinner`], [`extra`], [`harness`], [`with_go`]: the Pinner benchmarks; [`results`], [`go_format`], [`stats`],
//!   [`table`]: their samples, shown and compared;
//! - [`stores`]: stores into fields and behind locks;
//! - [`workload`], [`latency`], [`outcome`]: what the workloads share;
//! - [`trees`] (with [`trees_peer`]), [`gcbench`], [`alloc`], [`churn`] (with [`churn_replay`]), [`cache`], [`hiccup`], [`types`], [`array`], [`list`]:
//!   the workloads. `CHECKS.md` says what each does, and how its check is computed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

mod alloc;
mod array;
mod cache;
mod churn;
mod churn_replay;
mod extra;
mod gcbench;
mod go_format;
mod harness;
mod hiccup;
mod latency;
mod list;
mod outcome;
mod pinner;
mod report;
mod results;
mod stats;
mod stores;
mod table;
mod trees;
mod trees_peer;
mod types;
mod with_go;
mod workload;

/// Arguments of `linchpin bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Which benchmark; `pinner` if nothing is said.
    #[command(subcommand)]
    command: Option<BenchCommand>,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Run the thirteen Pinner benchmarks of Go's runtime and one more, without and with the pinner cache.
    Pinner(report::PinnerArgs),
    /// Compare two files of benchmark lines, ours or Go's.
    Compare(CompareArgs),
    /// Build, count and drop binary trees.
    Trees(trees::TreesArgs),
    /// Build trees top-down and bottom-up, beside a kept tree and a large array (Boehm, Ellis and Kovac's GCBench).
    Gcbench(gcbench::GcbenchArgs),
    /// Allocate small objects, of which the last 65,536 of each thread are kept.
    Alloc(alloc::AllocArgs),
    /// Rewire a graph of two million nodes; with the latency of 100 steps.
    Churn(churn::ChurnArgs),
    /// Replace the buffers of a cache; with the latency of an insert.
    Cache(cache::CacheArgs),
    /// Compute without any heap: what the machine itself does to a latency.
    Hiccup(hiccup::HiccupArgs),
    /// Allocate and keep objects of two hundred types at once.
    Types(types::TypesArgs),
    /// Collect a heap with an array of ten million pointers, whose objects are replaced meanwhile.
    Array(array::ArrayArgs),
    /// Collect a heap with a linked list of five million nodes.
    List(list::ListArgs),
    /// Measure stores into pointer fields and behind locks, while no cycle runs.
    Stores(stores::StoresArgs),
}

#[derive(Args)]
struct CompareArgs {
    /// The file with the old benchmark lines.
    old: PathBuf,
    /// The file with the new benchmark lines.
    new: PathBuf,
}

impl BenchArgs {
    /// The arguments of `bench pinner` without any options.
    pub(crate) fn pinner() -> BenchArgs {
        BenchArgs { command: None }
    }
}

/// Runs the benchmark that `args` name.
pub(crate) fn run(args: BenchArgs) -> Result<()> {
    let outcome = match args.command.unwrap_or(BenchCommand::Pinner(report::PinnerArgs::default())) {
        BenchCommand::Pinner(args) => report::run(&args),
        BenchCommand::Compare(args) => report::compare(&args.old, &args.new),
        BenchCommand::Trees(args) => trees::run(&args),
        BenchCommand::Gcbench(args) => gcbench::run(&args),
        BenchCommand::Alloc(args) => alloc::run(&args),
        BenchCommand::Churn(args) => churn::run(&args),
        BenchCommand::Cache(args) => cache::run(&args),
        BenchCommand::Hiccup(args) => hiccup::run(&args),
        BenchCommand::Types(args) => types::run(&args),
        BenchCommand::Array(args) => array::run(&args),
        BenchCommand::List(args) => list::run(&args),
        BenchCommand::Stores(args) => stores::run(&args),
    };
    outcome.or_else(|error| if reader_left(&error) { Ok(()) } else { Err(error) })
}

/// Writes `text` to the standard output at once.
fn emit(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(())
}

/// Whether the output went into a pipe whose reader has seen enough, as with `| head`.
fn reader_left(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
