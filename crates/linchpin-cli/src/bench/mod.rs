//! The benchmarks: Go's Pinner benchmarks on this heap, their comparison, binary trees, and stores.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

mod extra;
mod go_format;
mod harness;
mod pinner;
mod report;
mod results;
mod stats;
mod stores;
mod table;
mod trees;
mod trees_peer;
mod with_go;

/// Arguments of `linchpin bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Which benchmark; `pinner` if nothing is said.
    #[command(subcommand)]
    command: Option<BenchCommand>,
}

#[derive(Subcommand)]
enum BenchCommand {
    /// Run the thirteen Pinner benchmarks of Go's runtime, without and with the pinner cache.
    Pinner(report::PinnerArgs),
    /// Compare two files of benchmark lines, ours or Go's.
    Compare(CompareArgs),
    /// Build, count and drop binary trees.
    Trees(trees::TreesArgs),
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
