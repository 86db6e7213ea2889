//! `bench pinner` and `bench compare`: which benchmarks run in which order, and what is printed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use linchpin::Heap;

use super::harness::{Length, Sampler};
use super::pinner::{BENCHMARKS, Benchmark};
use super::results::{Results, Sample};
use super::{emit, extra, go_format, table, with_go};

/// Arguments of `linchpin bench pinner`.
#[derive(Args)]
pub(crate) struct PinnerArgs {
    /// How to print the results.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// How many samples to take of each benchmark.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// With how many processors (and threads, in parallel benchmarks) to run, as in `--cpu 1,2`;
    /// all of the machine's if nothing is said, 1 and all beside Go.
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    cpu: Vec<u16>,
    /// Turn the pinner cache off (with `--format go` or `--with-go`; the tables show both).
    #[arg(long)]
    no_cache: bool,
    /// How long a sample lasts, in milliseconds, or of how many operations it is, as in `1000x` [default: 150, beside Go 200].
    #[arg(long, value_name = "MS|Nx")]
    bench_time: Option<Length>,
    /// Run only the benchmarks whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    filter: String,
    /// Also run Go's own benchmark, by the `go` at PATH or the one that the shell would find.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "go", conflicts_with = "format")]
    with_go: Option<std::path::PathBuf>,
}

/// How `bench pinner` prints what it measured.
#[derive(Clone, Copy, Default, PartialEq, ValueEnum)]
enum Format {
    /// Tables of old (pinner cache off) against new (on).
    #[default]
    Tables,
    /// Benchmark lines as Go prints them, for Go's own tools.
    Go,
}

impl Default for PinnerArgs {
    /// What the command line gives without any option.
    fn default() -> PinnerArgs {
        PinnerArgs {
            format: Format::default(),
            count: 5,
            cpu: Vec::new(),
            no_cache: false,
            bench_time: None,
            filter: String::new(),
            with_go: None,
        }
    }
}

impl PinnerArgs {
    /// How long a sample is.
    pub(crate) fn length(&self) -> Length {
        self.bench_time.unwrap_or(Length::Milliseconds(if self.with_go.is_some() { 200 } else { 150 }))
    }

    /// How many processors to run with, one after the other.
    pub(crate) fn processors(&self) -> Vec<usize> {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        match &self.cpu[..] {
            [] if self.with_go.is_some() && available > 1 => vec![1, available],
            [] => vec![available],
            given => given.iter().map(|&count| usize::from(count)).collect(),
        }
    }

    /// The benchmarks that the filter lets through.
    fn benchmarks(&self) -> Result<Vec<&'static Benchmark>> {
        let chosen: Vec<&Benchmark> =
            BENCHMARKS.iter().filter(|benchmark| benchmark.name.contains(&self.filter)).collect();
        if chosen.is_empty() {
            bail!("no benchmark's name contains `{}`", self.filter);
        }
        Ok(chosen)
    }
}

/// One heap, with and without cache and with its number of processors, and what was measured on it.
struct Bench {
    heap: Heap,
    processors: usize,
    length: Length,
    results: Results,
}

impl Bench {
    fn new(processors: usize, cache: bool, args: &PinnerArgs) -> Result<Bench> {
        let heap = Heap::builder()
            .processors(processors)
            .pinner_cache(cache)
            .build()
            .with_context(|| format!("cannot make a heap of {processors} processors"))?;
        Ok(Bench { heap, processors, length: args.length(), results: Results::default() })
    }

    fn sampler(&self) -> Sampler {
        Sampler::new(self.length)
    }

    /// Takes one sample and keeps it under its full name.
    fn sample(&mut self, benchmark: &Benchmark, sampler: &mut Sampler) -> (String, Sample) {
        let run = |operations| {
            // As Go's `testing` does it before each run: what those before have left is not to matter. (An object that many have pinned keeps the place of its
            // stripes until it is dead and swept.)
            self.heap.collect();
            (benchmark.run)(&self.heap, self.processors, operations)
        };
        let sample = sampler.sample(run);
        let name = go_format::full_name(benchmark.name, self.processors);
        self.results.push(&name, sample.clone());
        (name, sample)
    }
}

/// Runs `bench pinner`.
pub(crate) fn run(args: &PinnerArgs) -> Result<()> {
    if args.with_go.is_some() {
        return run_with_go(args);
    }
    match args.format {
        Format::Go => run_as_go(args),
        Format::Tables if args.no_cache => {
            bail!("the tables always show both; use --no-cache with --format go or --with-go")
        }
        Format::Tables => run_tables(args),
    }
}

/// Each benchmark without and with the cache, by turns, so that a slower spell of the machine
/// falls on both.
fn run_tables(args: &PinnerArgs) -> Result<()> {
    let chosen = args.benchmarks()?;
    let processors = args.processors();
    let steps = chosen.len() * processors.len() * args.count as usize + extra::STEPS;
    let bar = progress(steps);
    let (mut old_results, mut new_results) = (Results::default(), Results::default());
    for &count in &processors {
        let mut old = Bench::new(count, false, args)?;
        let mut new = Bench::new(count, true, args)?;
        for benchmark in &chosen {
            bar.set_message(go_format::full_name(benchmark.name, count));
            let (mut old_sampler, mut new_sampler) = (old.sampler(), new.sampler());
            for _ in 0..args.count {
                old.sample(benchmark, &mut old_sampler);
                new.sample(benchmark, &mut new_sampler);
                bar.inc(1);
            }
        }
        old_results.extend(old.results);
        new_results.extend(new.results);
    }
    bar.set_message("own rows");
    let own = extra::measure(&bar)?;
    bar.finish_and_clear();
    emit(&format!(
        "The Pinner benchmarks of Go's runtime, and PinnerPinUnpinShared, on a linchpin heap.\n\
         old: pinner cache off, new: pinner cache on; medians, ± the farthest sample.\n\n{}\n{own}",
        table::comparison(&old_results, &new_results),
    ))
}

fn run_as_go(args: &PinnerArgs) -> Result<()> {
    let chosen = args.benchmarks()?;
    emit(&go_format::header())?;
    let mut benches = Vec::new();
    for count in args.processors() {
        benches.push(Bench::new(count, !args.no_cache, args)?);
    }
    // Wide enough for the longest name with its number of processors.
    let width = chosen.iter().map(|benchmark| benchmark.name.len()).max().unwrap_or(0) + 4;
    for benchmark in chosen {
        for bench in &mut benches {
            let mut sampler = bench.sampler();
            for _ in 0..args.count {
                let (name, sample) = bench.sample(benchmark, &mut sampler);
                emit(&format!("{}\n", go_format::line(&name, width, &sample)))?;
            }
        }
    }
    Ok(())
}

/// Go's benchmarks and ours by turns, each with every number of processors.
fn run_with_go(args: &PinnerArgs) -> Result<()> {
    let chosen = args.benchmarks()?;
    let processors = args.processors();
    let mut benches = Vec::new();
    for &count in &processors {
        benches.push(Bench::new(count, !args.no_cache, args)?);
    }
    let bar = progress(chosen.len() * args.count as usize);
    bar.set_message("building Go's benchmarks");
    bar.enable_steady_tick(Duration::from_millis(200));
    let go = with_go::GoBenchmarks::build(args.with_go.as_deref().unwrap_or(Path::new("go")), &chosen)?;
    let mut go_results = Results::default();
    for _ in 0..args.count {
        for benchmark in &chosen {
            bar.set_message(benchmark.name);
            go_results.extend(go.run(benchmark, &processors, args.length())?);
            for bench in &mut benches {
                let mut sampler = bench.sampler();
                bench.sample(benchmark, &mut sampler);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut our_results = Results::default();
    for bench in benches {
        our_results.extend(bench.results);
    }
    let cache = if args.no_cache { "off" } else { "on" };
    emit(&format!(
        "The Pinner benchmarks of Go's runtime, and PinnerPinUnpinShared: {} and linchpin (pinner cache {cache})\n\
         by turns, n={} each; medians, ± the farthest sample; -N: with N processors.\n\n{}",
        go.version(),
        args.count,
        table::beside_go(&go_results, &our_results),
    ))
}

/// Runs `bench compare`: the three tables from two files.
pub(crate) fn compare(old_path: &Path, new_path: &Path) -> Result<()> {
    let old = go_format::read_file(old_path)?;
    let new = go_format::read_file(new_path)?;
    if table::common_names(&old, &new).is_empty() {
        bail!(
            "{} and {} have no benchmark in common (a name's -N, its processors, must agree too)",
            old_path.display(),
            new_path.display()
        );
    }
    let mut text = table::comparison(&old, &new);
    for (path, this, other) in [(old_path, &old, &new), (new_path, &new, &old)] {
        let alone: Vec<&str> = this.names().filter(|&name| other.get(name).is_none()).collect();
        if !alone.is_empty() {
            text.push_str(&format!("\nonly in {}: {}\n", path.display(), alone.join(", ")));
        }
    }
    emit(&text)
}

/// A bar on the standard error, which shows itself only if that is a terminal.
fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::{Length, PinnerArgs};

    #[test]
    fn no_arguments_mean_the_same_as_the_defaults() {
        let args = PinnerArgs::default();
        assert_eq!((args.count, args.length()), (5, Length::Milliseconds(150)));
        assert_eq!(args.benchmarks().unwrap().len(), 14);
        assert_eq!(args.processors().len(), 1);
    }
}
