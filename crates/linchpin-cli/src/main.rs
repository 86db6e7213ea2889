//! The `linchpin` program: benchmarks, real jobs and stress runs of the linchpin heap.

use clap::{Parser, Subcommand};

mod bench;
mod compress;
mod counting;
mod stress;

/// Benchmarks, real jobs and stress runs of the linchpin garbage-collected heap.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// What to do; `bench pinner` if nothing is said.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run or compare benchmarks.
    Bench(bench::BenchArgs),
    /// Compress files with zlib reading straight from pinned heap buffers while the collector runs.
    Compress(compress::CompressArgs),
    /// Build, rewire, share, pin and drop random object graphs and check them against a mirror.
    Stress(stress::StressArgs),
}

#[global_allocator]
static ALLOCATOR: counting::CountingAllocator = counting::CountingAllocator;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or(Command::Bench(bench::BenchArgs::pinner())) {
        Command::Bench(args) => bench::run(args),
        Command::Compress(args) => compress::run(args),
        Command::Stress(args) => stress::run(args),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linchpin: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
