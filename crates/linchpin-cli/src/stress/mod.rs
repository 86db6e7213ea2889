//! `linchpin stress`: random work on one heap from many threads, compared with a mirror.
//!
//! Each worker builds and rewires a graph of its own and keeps a mirror of it in ordinary Rust
//! data; besides, all change shared objects whose contents follow from their ids, take pins and
//! check what is at the pinned addresses, send pins to each other, upgrade weak pointers, look things up in weak maps, register
//! cleanups, trade whole graphs, panic out of
//! mutations and end their threads. Meanwhile one thread runs cycles, part of the time without
//! pause. At the end everything is given up, and nothing may be alive and every `Drop`, and every cleanup, have run
//! once.
//!
//! - [`objects`]: the types in the heap; [`numbers`]: randomness and derived contents;
//! - [`mirror`] and [`rewire`]: a graph, its mirror, and changes to both;
//! - [`pins`], [`shared`], [`upset`]: pins, what threads share, panics;
//! - [`weak`], [`maps`]: weak pointers and weak maps, shared and of graphs; [`words`]: tagged fields; [`symbols`]: interning, objects behind a trait;
//! - [`cleanups`]: what is done when objects have gone;
//! - [`ledger`]: births and drops; [`worker`]: the loop;
//! - [`paranoid`]: the heap's own verifier and disturbances.

mod cleanups;
mod ledger;
mod maps;
mod mirror;
mod numbers;
mod objects;
mod paranoid;
mod pins;
mod rewire;
mod shared;
mod shelves;
mod symbols;
mod upset;
mod weak;
mod words;
mod worker;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use linchpin::Heap;

use numbers::Numbers;
use shared::Table;
use worker::{Figures, Worker};

/// What `linchpin stress` takes.
#[derive(Args)]
pub(crate) struct StressArgs {
    /// How long to go on.
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// Threads that work on the heap at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// What the random choices follow from; a new one is made and printed if not said. Threads
    /// meet differently each time all the same.
    #[arg(long, value_name = "X")]
    seed: Option<u64>,
    /// Processors of the heap at first, changed now and then; as many as threads if not said.
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..=256))]
    processors: Option<u16>,
    /// Let the heap verify and disturb itself by all means it has, at strengths that follow from the seed.
    #[arg(long)]
    paranoid: bool,
}

/// What the threads of a run share.
pub(crate) struct Run {
    heap: Heap,
    table: Table,
    /// Processors at first.
    processors: usize,
    /// Set once, at the end of the time or at the first problem. Relaxed: it says "enough".
    stop: AtomicBool,
    /// What did not match; any thread.
    problems: Arc<Mutex<Vec<String>>>,
}

impl Run {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self) -> bool {
        !self.problems.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn problem(&self, text: String) {
        note(&self.problems, text);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Notes the panic of a thread and whatever else a thread returned as an error.
    fn joined<T>(&self, outcome: std::thread::Result<Result<T, String>>) -> Option<T> {
        match outcome {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(problem)) => self.problem(problem),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
                self.problem(format!("a thread panicked: {}", text.unwrap_or("(no message)")));
            }
        }
        None
    }
}

/// Runs the stress; an error with the seed if anything did not match.
pub(crate) fn run(args: StressArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one("linchpin stress"));
    let threads = usize::from(args.threads);
    let processors = args.processors.map_or(threads, usize::from);
    // Before anything can go wrong, for a crash says nothing more.
    writeln!(std::io::stdout(), "stress: seed {seed}, {threads} threads, {processors} processors, {} s", args.seconds)?;
    upset::silence_injected();

    let problems = Arc::new(Mutex::new(Vec::new()));
    let leaks = Arc::clone(&problems);
    let mut builder = Heap::builder();
    if args.paranoid {
        let settings = paranoid::settings(seed);
        writeln!(std::io::stdout(), "stress: LINCHPIN={settings}")?;
        let findings = Arc::clone(&problems);
        builder = builder.debug(settings).on_finding(move |finding| note(&findings, finding.to_string()));
    }
    let heap = builder
        .processors(processors)
        .on_pin_leak(move |leak| {
            note(&leaks, format!("{} pins were reported as leaked", leak.pins()));
        })
        .build()
        .context("cannot make the heap")?;
    let table = Table::new(&heap);
    let run = Run { heap, table, processors, stop: AtomicBool::new(false), problems };

    let started = Instant::now();
    let figures = work(&run, seed, threads, Duration::from_secs_f64(args.seconds), args.paranoid);
    let elapsed = started.elapsed().as_secs_f64();
    let Run { heap, table, problems, .. } = run;
    let keepsakes = table.into_keepsakes(&heap);
    let found = || problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if found().is_empty() {
        heap.collect();
        if let Err(problem) = keepsakes.check_all_dead(&heap) {
            note(&problems, format!("after all roots were gone: {problem}"));
        }
        drop(keepsakes);
        if let Err(problem) = cleanups::wait_for_all(&heap) {
            note(&problems, format!("after all roots were gone: {problem}"));
        }
        check_nothing_left(&heap, &problems);
        if let Err(problem) = paranoid::verify(&heap, Some(0)) {
            note(&problems, format!("after all roots were gone: {problem}"));
        }
    }
    ledger::take_problems().into_iter().for_each(|problem| note(&problems, problem));
    let problems = found();

    let stats = heap.stats();
    let drops = ledger::count();
    let (upgraded, refused) = weak::upgrades();
    let ((found, gone), cleaned) = (maps::found_and_gone(), cleanups::run());
    let yields = figures.yields;
    writeln!(
        std::io::stdout(),
        "stress: {elapsed:.1} s, {} operations, {} cycles, {} objects, {} drops, {} pins, \
         {upgraded} upgrades and {refused} refused, {found} map entries found and {gone} gone, {cleaned} cleanups, \
         {yields} yields, {} panics, {} nodes compared in {} verifications, mismatches {}",
        figures.operations,
        stats.cycles,
        stats.allocated_objects,
        drops.dropped,
        pins::taken(),
        figures.panics,
        figures.compared,
        figures.verifications,
        problems.len()
    )?;
    // For programs: `name=value`, last.
    writeln!(
        std::io::stdout(),
        "figures: cycles={} objects={} pins={} upgraded={upgraded} refused={refused} found={found} gone={gone} cleanups={cleaned} yields={yields} comparisons={} verifications={} verified={} exact={} mismatches={}",
        stats.cycles,
        stats.allocated_objects,
        pins::taken(),
        figures.verifications,
        stats.verifications,
        stats.verified_objects,
        paranoid::exact_verifications(),
        problems.len()
    )?;
    if problems.is_empty() {
        return Ok(());
    }
    bail!("stress found a mismatch (seed {seed}, {threads} threads):\n  {}", problems.join("\n  "));
}

/// Lets the workers work, and sums up what they did.
fn work(run: &Run, seed: u64, threads: usize, time: Duration, paranoid: bool) -> Figures {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel()).unzip();
    let workers: Vec<_> = inboxes
        .into_iter()
        .enumerate()
        .map(|(index, inbox)| Worker::new(seed, index, inbox, senders.clone()))
        .collect();
    drop(senders);

    let mut sum = Figures::default();
    std::thread::scope(|scope| {
        scope.spawn(|| collect_now_and_then(run, Numbers::new(seed, u64::MAX)));
        if paranoid {
            scope.spawn(|| paranoid::verify_now_and_then(run, Numbers::new(seed, u64::MAX - 1)));
        }
        let shifts: Vec<_> = workers.into_iter().map(|worker| scope.spawn(|| work_in_shifts(run, worker))).collect();
        let started = Instant::now();
        // Drops are counted on the collector's threads, which cannot stop the run themselves.
        while !run.stopped() && !run.failed() && started.elapsed() < time {
            std::thread::sleep(Duration::from_millis(20).min(time));
            ledger::take_problems().into_iter().for_each(|problem| run.problem(problem));
        }
        run.stop.store(true, Ordering::Relaxed);
        for shift in shifts {
            if let Some(figures) = run.joined(shift.join()) {
                sum.operations += figures.operations;
                sum.verifications += figures.verifications;
                sum.compared += figures.compared;
                sum.panics += figures.panics;
                sum.yields += figures.yields;
            }
        }
        let mut left = run.table.take_left();
        if !run.failed() {
            run.joined(Ok(left.verify(&run.heap)));
            run.table.keep(&mut left);
        }
    });
    sum
}

/// One worker from beginning to end, on one thread after the other.
fn work_in_shifts(run: &Run, mut worker: Worker) -> Result<Figures, String> {
    while !run.stopped() {
        let shift = std::thread::scope(|scope| scope.spawn(|| worker.shift(run)).join());
        run.joined(shift);
    }
    worker.finish(run)
}

/// Runs cycles without pause, pauses without cycles, and so on.
fn collect_now_and_then(run: &Run, mut numbers: Numbers) {
    while !run.stopped() {
        for _ in 0..numbers.below(60) {
            if run.stopped() {
                return;
            }
            run.heap.collect();
        }
        std::thread::sleep(Duration::from_millis(numbers.below(30) as u64));
    }
}

/// With every root and pin given up, one cycle must leave nothing.
fn check_nothing_left(heap: &Heap, problems: &Mutex<Vec<String>>) {
    heap.collect();
    let stats = heap.stats();
    if stats.freed_objects != stats.allocated_objects {
        let (made, freed) = (stats.allocated_objects, stats.freed_objects);
        note(problems, format!("of {made} objects, {freed} were freed after all roots were gone"));
    }
    if let Err(problem) = ledger::check_all_dropped() {
        note(problems, format!("after all roots were gone: {problem}"));
    }
}

/// Keeps a problem for the end and prints it at once: after one, the end may never come.
fn note(problems: &Mutex<Vec<String>>, text: String) {
    eprintln!("stress: {text}");
    problems.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        Ok(_) => Err("must be more than 0 and at most a day".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
