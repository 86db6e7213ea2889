//! Searches the model: the whole table of variants, large configurations, or one variant with its trace.
//!
//! ```text
//! linchpin-model                     the table of variants, and small configurations of the protocol
//! linchpin-model --full              large configurations of the protocol
//! linchpin-model --fault NAME...     the trace of a variant with these faults, with three objects and a pin
//! ```

use std::process::ExitCode;
use std::time::Instant;

use linchpin_model::verdict::{BREAKING, BREAKING_PAIRS, HARMLESS, Verdict, WALKS};
use linchpin_model::{Config, Counterexample, Fault, Outcome, search_on, walk};

/// A search beyond this many states gives up, which counts as a finding.
const MOST_STATES: usize = 400_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let as_expected = match arguments[..] {
        [] => table(),
        ["--full"] => full(),
        ["--fault", ref names @ ..] if !names.is_empty() => trace(names),
        _ => {
            eprintln!("usage: linchpin-model [--full | --fault NAME...]");
            return ExitCode::from(2);
        }
    };
    if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What was searched in all.
#[derive(Default)]
struct Figures {
    searches: usize,
    counterexamples: usize,
    states: usize,
    unexpected: usize,
}

impl Figures {
    /// Prints them, and `more`, as the last line; gives whether all was as expected.
    fn print(&self, more: &str) -> bool {
        let Self { searches, counterexamples, states, unexpected } = self;
        let clean = searches - counterexamples;
        println!(
            "{searches} searches, {states} states: {clean} without and {counterexamples} with a counterexample{more}, \
             {unexpected} not as expected"
        );
        *unexpected == 0
    }
}

/// Searches, and prints what came of it.
fn report(figures: &mut Figures, config: &Config, name: &str, breaks: bool) {
    let start = Instant::now();
    let outcome: Outcome = search_on(threads(), config, MOST_STATES);
    let seconds = start.elapsed().as_secs_f64();
    let found = match &outcome.counterexample {
        Some(counterexample) => format!("counterexample of {} steps", counterexample.steps.len()),
        None if outcome.gave_up => "gave up".to_string(),
        None => "clean".to_string(),
    };
    println!("{name}\n    {found}; {} states, {} steps, {seconds:.1} s", outcome.states, outcome.steps);
    let found_one = outcome.counterexample.is_some();
    let as_expected = if breaks { found_one } else { outcome.is_clean() };
    if !as_expected {
        println!("    NOT AS EXPECTED");
        if let Some(counterexample) = outcome.counterexample {
            println!("{counterexample}");
        }
    }
    figures.searches += 1;
    figures.states += outcome.states;
    figures.counterexamples += usize::from(found_one);
    figures.unexpected += usize::from(!as_expected);
}

/// Every variant, and small configurations.
fn table() -> bool {
    let mut figures = Figures::default();
    for config in [
        Config::WEAK,
        Config::WEAK_FIELDS,
        Config { grey_at_end_counts: true, ..Config::NEW_MAPS },
        Config { grey_at_end_counts: true, processors: 1, ..Config::ENTRIES_AND_WEAK },
        Config::SPARE,
        Config { pins: 1, ..Config::SPARE },
        Config { grey_at_end_counts: true, ..Config::SMALL },
        Config::PINS,
        Config { objects: 1, ..Config::FLAGS },
        Config::RESIZE,
        Config::HELPERS,
        Config { grey_at_end_counts: true, helpers: true, ..Config::ASSISTS },
        Config { locks: true, ..Config::ASSISTS },
        Config::ONE_SPAN,
        Config::LOCKS,
        Config { processors: 1, forgotten_guards: true, ..Config::INNER_LOCKS },
        Config { full_buffers: true, ..Config::SMALL },
    ] {
        report(&mut figures, &config, &format!("the protocol: {config}"), false);
    }
    for verdict in BREAKING.iter().chain(HARMLESS).chain(BREAKING_PAIRS) {
        let mut name = format!("{:?}: {}", verdict.faults, verdict.config);
        if let [fault] = verdict.faults {
            name = format!("{name}\n    {}", fault.description());
        }
        report(&mut figures, &verdict.config.with(verdict.faults), &name, verdict.breaks);
    }
    let mut walked = 0;
    for (verdict, steps) in WALKS {
        let violation = walk(&verdict.config.with(verdict.faults), steps);
        println!("{:?}: {}\n    walked {} steps", verdict.faults, verdict.config, steps.len());
        if violation.is_none() {
            println!("    NOT AS EXPECTED");
            figures.unexpected += 1;
        }
        walked += usize::from(violation.is_some());
    }
    let verdicts = || BREAKING.iter().chain(WALKS.iter().map(|(verdict, _)| verdict));
    let breaks = |fault: Fault| verdicts().any(|verdict| verdict.faults == [fault]);
    let alone = Fault::ALL.iter().filter(|&&fault| breaks(fault)).count();
    let with_another = Fault::ALL.len() - alone;
    figures.print(&format!(
        " ({} faults: {alone} break the protocol, {walked} of them step by step, {with_another} are harmless alone)",
        Fault::ALL.len()
    ))
}

/// Large configurations.
fn full() -> bool {
    let strict = Config { grey_at_end_counts: true, ..Config::LARGE };
    // What is allowed beside the rest only adds steps, so it can be searched all at once.
    let more = Config { helpers: true, full_buffers: true, resize: true, ..strict };
    let two_rounds = Config { two_quiet_rounds: true, ..strict }.with(&[Fault::ShadeAfterSwap]);
    let mut figures = Figures::default();
    for config in [
        more,
        Config { objects: 2, processors: 3, ..more },
        Config { pins: 1, ..strict },
        Config { grey_at_end_counts: true, full_buffers: true, ..Config::FLAGS },
        Config { objects: 2, pins: 2, ..strict },
        Config { objects: 3, pins: 1, ..Config::SPARE },
        Config { processors: 3, pins: 1, ..Config::SPARE },
        Config { objects: 3, ..Config::ONE_SPAN },
        Config { pins: 1, ..Config::ONE_SPAN },
        Config { grey_at_end_counts: true, helpers: true, full_buffers: true, ..Config::LOCKS },
        Config { grey_at_end_counts: true, helpers: true, full_buffers: true, pins: 1, ..Config::ASSISTS },
        Config { objects: 3, grey_at_end_counts: true, ..Config::ASSISTS },
        Config { grey_at_end_counts: true, full_buffers: true, forgotten_guards: true, locks: true, ..Config::ASSISTS },
        Config { weak_root: true, ..Config::ASSISTS },
        Config { grey_at_end_counts: true, assists: true, ..Config::ENTRIES_AND_WEAK },
        Config { grey_at_end_counts: true, pins: 1, ..Config::LOCKS },
        Config { grey_at_end_counts: true, objects: 3, processors: 1, ..Config::LOCKS },
        Config { grey_at_end_counts: true, forgotten_guards: true, ..Config::INNER_LOCKS },
        Config { objects: 3, ..Config::WEAK },
        Config { pins: 1, ..Config::WEAK },
        Config { pins: 1, ..Config::WEAK_FIELDS },
        Config { grey_at_end_counts: true, helpers: true, full_buffers: true, ..Config::ENTRIES_AND_WEAK },
        Config { grey_at_end_counts: true, pins: 1, ..Config::ENTRIES_AND_WEAK },
        Config { grey_at_end_counts: true, objects: 3, processors: 1, ..Config::ENTRIES_AND_WEAK },
        Config::ENTRIES_AND_WEAK.with(&[Fault::EntryRemovedInArmNotShaded]),
        Config { leaf: true, ..strict },
        Config { leaf: true, grey_at_end_counts: true, ..Config::NEW_MAPS },
        Config { leaf: true, grey_at_end_counts: true, ..Config::ENTRIES_AND_WEAK },
        Config { leaf: true, grey_at_end_counts: true, objects: 3, processors: 1, ..Config::ENTRIES_AND_WEAK },
    ] {
        report(&mut figures, &config, &format!("the protocol: {config}"), false);
    }
    for config in [Config { pins: 1, ..two_rounds }, Config { objects: 2, processors: 3, ..two_rounds }] {
        report(&mut figures, &config, &format!("shading after the swap: {config}"), false);
    }
    // In two objects these leave something grey; here that leads to something white.
    for verdict in BREAKING.iter().filter(|verdict| has_white_behind_grey(verdict)) {
        let config = with_white_behind_grey(verdict).with(verdict.faults);
        report(&mut figures, &config, &format!("{:?}: {config}", verdict.faults), true);
    }
    figures.print("")
}

/// Whether a variant leaves something grey, and three objects are not too many to search.
fn has_white_behind_grey(verdict: &Verdict) -> bool {
    verdict.config.grey_at_end_counts && !verdict.config.has_inner_locks()
}

/// For a variant that leaves something grey: a configuration in which that has something white behind it.
fn with_white_behind_grey(verdict: &Verdict) -> Config {
    let processors = if verdict.config.ephemeron { 1 } else { 2 };
    Config { objects: 3, processors, grey_at_end_counts: false, ..verdict.config }
}

/// The trace of one variant.
fn trace(names: &[&str]) -> bool {
    let faults: Vec<Fault> =
        Fault::ALL.iter().copied().filter(|fault| names.contains(&fault.to_string().as_str())).collect();
    if faults.len() != names.len() {
        eprintln!("faults are:");
        for fault in Fault::ALL {
            eprintln!("    {fault}: {}", fault.description());
        }
        return false;
    }
    let verdict = BREAKING.iter().chain(BREAKING_PAIRS).find(|verdict| verdict.faults == faults);
    let config = match verdict {
        Some(verdict) if has_white_behind_grey(verdict) => with_white_behind_grey(verdict),
        Some(verdict) => verdict.config,
        None => Config { pins: 1, ..Config::LARGE },
    };
    if let Some((verdict, steps)) = WALKS.iter().find(|(verdict, _)| verdict.faults == faults)
        && let Some(violation) = walk(&verdict.config.with(&faults), steps)
    {
        println!("{}\n({}; written down)", Counterexample { steps: steps.to_vec(), violation }, verdict.config);
        return true;
    }
    let outcome = search_on(threads(), &config.with(&faults), MOST_STATES);
    match outcome.counterexample {
        Some(counterexample) => println!("{counterexample}\n({config}; {} states)", outcome.states),
        None => println!("no counterexample ({config}; {} states)", outcome.states),
    }
    true
}
