//! `cargo xtask peers`: the benchmarks beside other collectors, in one run, by turns.
//!
//! - [`cases`]: what is run, in which sizes;
//! - [`programs`]: the peers' programs, and Linchpin's, built from `benches/peers`; a peer whose tool is missing is reported;
//! - [`runs`]: running them, and what they say;
//! - [`summary`]: medians and ratios; [`tables`], [`plots`], [`page`]: the same for a reader.
//!
//! Everything is written to `target/peers`: `results.jsonl` has each line that a program printed, `index.html` tables and plots.

mod cases;
mod page;
mod plots;
mod programs;
mod runs;
mod summary;
mod tables;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{Skipped, cargo, run, run_and_read, target_directory, workspace};
use cases::Case;
use programs::{Peer, Programs};
use runs::{Answer, Results};
use summary::Summary;

/// The peers in Rust: a workspace of their own.
const RUST_MANIFEST: &str = "benches/peers/rust/Cargo.toml";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// One workload only; all if nothing is said.
    #[arg(value_parser = cases::WORKLOADS)]
    workload: Option<String>,
    /// Small sizes and a single round: does everything work, and do all agree?
    #[arg(long)]
    quick: bool,
    /// How often each program runs [default: 5; 1 with --quick].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    count: Option<u64>,
    /// On how many threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: Vec<u64>,
    /// How long the workloads take that go on for a time, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    secs: u64,
    /// Go's tool.
    #[arg(long, default_value = "go")]
    go: PathBuf,
    /// Write the tables and the plots to docs/benchmarks; for a whole run only.
    #[arg(long, conflicts_with_all = ["workload", "quick"])]
    write_docs: bool,
}

/// Builds the programs, runs them by turns, compares and tells.
pub(crate) fn run_all(options: &Options) -> Result<String> {
    run(cargo().args(["fmt", "--check", "--manifest-path", RUST_MANIFEST]))?;
    let directory = target_directory().join("peers");
    std::fs::create_dir_all(&directory)?;
    let Programs { peers, missing } = programs::build(&directory, &options.go)?;
    for each in &missing {
        println!("{each}");
    }
    if peers.iter().all(|peer| peer.name.starts_with(programs::LINCHPIN)) {
        return Err(Skipped("no peer could be built; what each of them needs is told above").into());
    }
    if options.quick && peers.iter().any(|peer| peer.name == "gc-arena") {
        let test = ["test", "--release", "--locked", "--lib", "--manifest-path", RUST_MANIFEST, "--target-dir"];
        run(cargo().args(test).arg(directory.join("rust")))?;
    }
    let wanted = |case: &Case| options.workload.as_deref().is_none_or(|workload| workload == case.workload);
    let count = options.count.unwrap_or(if options.quick { 1 } else { 5 });
    let mut results = Results::create(&directory.join("results.jsonl"))?;
    let mut summaries = Vec::new();
    for case in cases::all(options.quick, options.secs).iter().filter(|case| wanted(case)) {
        for &threads in &options.threads {
            let summary = measure(case, threads, count, &peers, &mut results)?;
            println!("\n{}", tables::render(&summary));
            summaries.push(summary);
        }
    }
    let pinner = match options.workload.as_deref() {
        Some("pinner") => Some(pinner(options)?),
        None if !options.quick => Some(pinner(options)?),
        _ => None,
    };
    let head = page::head(&peers, &missing, count);
    page::write(&directory, &head, &summaries, pinner.as_deref())?;
    if options.write_docs {
        page::write_documents(&workspace().join("docs/benchmarks"), &head, &summaries, pinner.as_deref())?;
    }
    let mut figures =
        format!("{} programs, {} runs, {} check sums agree", peers.len(), results.runs(), results.agreements());
    if !missing.is_empty() {
        write!(figures, "; {} missing", missing.len())?;
    }
    write!(figures, "; {}", directory.join("index.html").display())?;
    Ok(figures)
}

/// Runs a case on so many threads: each peer once where all do the same number of steps, if the measured ones go on for a time,
/// and then `count` times by turns.
fn measure(case: &Case, threads: u64, count: u64, peers: &[Peer], results: &mut Results) -> Result<Summary> {
    println!("\nxtask: {}, {threads} thread(s)", case.title);
    let mut summary = Summary::new(case, threads, peers);
    let mut able: Vec<&Peer> = peers.iter().filter(|peer| peer.takes_part_in(case.workload)).collect();
    if let Some(steps) = &case.checked {
        let mut lines = Vec::new();
        able = ask_all(case, steps, threads, able, results, |peer, answer| match answer {
            Answer::Line(line) => lines.push((peer.name.clone(), line)),
            Answer::CannotExpress(why) => summary.cannot_express(&peer.name, why),
        })?;
        results.compare(&lines)?;
    }
    let mut lines = Vec::new();
    for _ in 0..count {
        able = ask_all(case, &case.measured, threads, able, results, |peer, answer| match answer {
            Answer::Line(line) => lines.push((peer.name.clone(), line)),
            Answer::CannotExpress(why) => summary.cannot_express(&peer.name, why),
        })?;
    }
    if case.checked.is_none() {
        results.compare(&lines)?;
    }
    for (name, line) in &lines {
        summary.add(name, line)?;
    }
    Ok(summary)
}

/// Asks each peer once and hands on what it answers; returns those that can express the workload.
fn ask_all<'peers>(
    case: &Case,
    arguments: &[String],
    threads: u64,
    peers: Vec<&'peers Peer>,
    results: &mut Results,
    mut take: impl FnMut(&Peer, Answer),
) -> Result<Vec<&'peers Peer>> {
    let mut able = Vec::new();
    for peer in peers {
        let answer = results
            .ask(peer, case, arguments, threads)
            .with_context(|| format!("{}: {} on {threads} thread(s)", peer.name, case.title))?;
        if matches!(answer, Answer::Line(_)) {
            able.push(peer);
        }
        take(peer, answer);
    }
    Ok(able)
}

/// The table of pins, which the program makes itself; beside Go where there is one, and then the row of the shared object on
/// more processors than the machine may have, too.
fn pinner(options: &Options) -> Result<String> {
    let run = |more: &[&str]| {
        let mut command = Command::new(target_directory().join("release").join("linchpin"));
        command.args(["bench", "pinner"]).args(more);
        if options.quick {
            command.args(["--count", "2", "--bench-time", "5"]);
        }
        let text = run_and_read(&mut command)?;
        ensure!(text.contains("PinUnpin"), "the pinner benchmark printed no rows");
        Ok(text)
    };
    if !programs::is_go(&options.go) {
        println!("{}", programs::missing_go(&options.go));
        return run(&[]);
    }
    let beside_go = ["--with-go", options.go.to_str().context("the path of Go is not text")?];
    let shared = ["--filter", "PinnerPinUnpinShared", "--cpu", "8"];
    Ok(format!("{}\n{}", run(&beside_go)?, run(&[&beside_go[..], &shared].concat())?))
}

/// Writes a file, or says which one could not be written.
fn write_file(path: &Path, text: &str) -> Result<()> {
    if let Err(error) = std::fs::write(path, text) {
        bail!("cannot write {}: {error}", path.display());
    }
    Ok(())
}
