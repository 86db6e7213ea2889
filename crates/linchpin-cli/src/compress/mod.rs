//! `linchpin compress`: the main job on real input.
//!
//! Files are read into heap buffers, the buffers are pinned, and zlib (C) reads them through raw
//! addresses that it keeps from call to call. No root and no pointer leads to a buffer meanwhile:
//! the pin alone keeps it. At the same time other threads fill the heap with garbage and cycles
//! run one after the other, so a pin that did not hold would soon show as a wrong output.
//!
//! - [`plan`] decides what is written where, and refuses what cannot be right before it is begun;
//! - [`job`] compresses one file, under a temporary name until it is whole;
//! - [`pinned`] is a pinned buffer, the only way from the heap to C;
//! - [`deflate`] and [`inflate`] are safe wrappers of the C streams, over [`cstream`];
//! - [`churn`] keeps the heap and its collector busy.

mod churn;
mod cstream;
mod deflate;
mod inflate;
mod job;
mod pinned;
mod plan;
mod report;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use linchpin::Heap;

use job::{Job, Outcome};
use pinned::PinTally;
use plan::{Failure, Plan};

/// What `linchpin compress` takes.
#[derive(Args)]
pub(crate) struct CompressArgs {
    /// Files to compress; FILE becomes FILE.gz, and FILE itself stays.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Files compressed at once; as many as there are cores if not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// 1 is fastest, 9 is smallest.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=9))]
    level: u8,
    /// Where the outputs go; beside each file if not said.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Overwrite outputs that exist, and compress files that end in .gz already.
    #[arg(long)]
    force: bool,
    /// Decompress each output again, and compare, before it gets its name.
    #[arg(long)]
    verify: bool,
    /// Threads that fill the heap with garbage meanwhile.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    churn: u16,
}

/// Compresses the files; an error at the end if any of them could not be.
pub(crate) fn run(args: CompressArgs) -> anyhow::Result<()> {
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
    };
    let (plans, mut failures) = plan::plan(&args.files, args.output_dir.as_deref(), args.force)?;
    let threads = threads.min(plans.len().max(1));
    let churners = usize::from(args.churn);

    // A processor for each thread that mutates, so that none waits for another.
    let heap = Heap::builder().processors(threads + churners).build().context("cannot make the heap")?;
    let tally = PinTally::default();
    let progress = progress_bar(plans.iter().map(|plan| plan.expected_bytes).sum());

    let started = Instant::now();
    let cycles_before = heap.stats().cycles;
    let job = Job {
        heap: &heap,
        tally: &tally,
        progress: &progress,
        level: args.level,
        force: args.force,
        verify: args.verify,
    };
    let (outcomes, job_failures) = churn::while_busy(&heap, churners, || run_jobs(&job, &plans, threads));
    failures.extend(job_failures);
    let elapsed = started.elapsed();
    let cycles = heap.stats().cycles - cycles_before;
    progress.finish_and_clear();

    // With every pin given back and nothing rooted, a last cycle must leave nothing alive.
    heap.collect();
    let stats = heap.stats();
    let totals = report::Totals {
        outcomes: &outcomes,
        failed: failures.len(),
        elapsed,
        cycles,
        taken: tally.taken(),
        most_at_once: tally.most_at_once(),
        outstanding: tally.outstanding(),
        verified: args.verify,
    };
    totals.print()?;

    for failure in &failures {
        eprintln!("linchpin: {failure}");
    }
    anyhow::ensure!(
        tally.wrong_counts() == 0,
        "{} pinned buffers had a pin count other than 1 when zlib was done with them",
        tally.wrong_counts()
    );
    anyhow::ensure!(tally.outstanding() == 0, "{} pins were not given back", tally.outstanding());
    anyhow::ensure!(
        stats.allocated_objects == stats.freed_objects,
        "{} objects are alive that nothing refers to",
        stats.allocated_objects - stats.freed_objects
    );
    if failures.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{} of {} files could not be compressed", failures.len(), args.files.len());
}

/// Compresses the planned files on `threads` threads, each taking the next file when it is free.
fn run_jobs(job: &Job<'_>, plans: &[Plan], threads: usize) -> (Vec<Outcome>, Vec<Failure>) {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Relaxed: the counter hands out numbers and guards nothing; the plans are
                // shared before the threads begin.
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = job.run(plan);
                    let mut results = results.lock().expect("no thread panics with the results");
                    match result {
                        Ok(outcome) => results.0.push(outcome),
                        Err(reason) => results.1.push(Failure::new(&plan.source, reason)),
                    }
                }
            });
        }
    });
    results.into_inner().expect("no thread panics with the results")
}

/// A bar over the bytes of all files, on a terminal only.
fn progress_bar(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {msg}")
            .expect("the template is a constant");
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar
}
