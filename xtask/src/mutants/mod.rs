//! `cargo xtask mutants`: breaks the library in many small ways, and asks of each whether some test notices.
//!
//! Two kinds of mutants: those that `cargo mutants` makes of every function and operator, and a table made by hand for what it
//! leaves alone (see [`table`]). Both are tried on a copy of the workspace under the target directory, never on the
//! workspace itself, and against the same fast set of tests (see [`copy`]). A mutant that survives is a finding, unless it
//! is [`accepted`] by name, with a reason.

mod accepted;
mod copy;
mod generated;
mod hand_made;
mod table;

use std::fmt;

use anyhow::{Result, ensure};
use clap::Args;

use crate::tools::{Skipped, is_installed};
use copy::Copy;

/// What to break.
#[derive(Args)]
pub(crate) struct Options {
    /// Break this file only, named as under the library's `src`: `collector/cycle.rs`.
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Try only the mutants in whose names this stands, as they are printed, without the file; may be given several times.
    #[arg(long, value_name = "TEXT")]
    named: Vec<String>,
    /// Try only a few mutants made by hand, for about a minute.
    #[arg(long, conflicts_with = "generated")]
    quick: bool,
    /// Try only the mutants made by hand.
    #[arg(long, conflicts_with = "generated")]
    hand_made: bool,
    /// Try only the mutants that `cargo mutants` makes.
    #[arg(long)]
    generated: bool,
}

impl Options {
    fn wants_file(&self, file: &str) -> bool {
        self.file.as_ref().is_none_or(|wanted| wanted == file)
    }

    fn wants_named(&self, what: &str) -> bool {
        self.named.is_empty() || self.named.iter().any(|text| what.contains(text))
    }
}

/// What came of a mutant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// A test failed.
    Caught,
    /// A test did not end; its time was cut.
    TimedOut,
    /// It does not compile.
    Unviable,
    /// No test noticed.
    Missed,
}

/// Mutants and what came of them.
#[derive(Default)]
struct Tally {
    fates: Vec<(String, Fate)>,
}

impl Tally {
    fn add(&mut self, name: String, fate: Fate) {
        self.fates.push((name, fate));
    }

    fn count(&self, fate: Fate) -> usize {
        self.fates.iter().filter(|(_, each)| *each == fate).count()
    }

    fn missed(&self) -> impl Iterator<Item = &str> {
        self.fates.iter().filter(|(_, fate)| *fate == Fate::Missed).map(|(name, _)| name.as_str())
    }

    /// Tells what is not as listed: survivors that nobody accepted, and accepted ones that are caught.
    fn judge(&self) -> Result<()> {
        let mut unexpected = 0;
        for name in self.missed() {
            match accepted::reason(name) {
                Some(reason) => println!("xtask: accepted: {name}: {reason}"),
                None => {
                    unexpected += 1;
                    println!("xtask: SURVIVED: {name}");
                }
            }
        }
        for (name, fate) in &self.fates {
            if *fate != Fate::Missed && accepted::reason(name).is_some() {
                println!("xtask: accepted as a survivor, but noticed this time: {name}");
            }
        }
        ensure!(unexpected == 0, "{unexpected} mutants survived that are not accepted ({self})");
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = self.missed().filter(|name| accepted::reason(name).is_some()).count();
        let (caught, timed_out) = (self.count(Fate::Caught), self.count(Fate::TimedOut));
        write!(
            f,
            "mutants: {caught} caught, {timed_out} timed out, {} unviable, {} missed, {accepted} of them accepted",
            self.count(Fate::Unviable),
            self.count(Fate::Missed)
        )
    }
}

pub(crate) fn try_all(options: &Options) -> Result<String> {
    if !is_installed(crate::tools::cargo().args(["nextest", "--version"])) {
        return Err(Skipped("cargo-nextest is not installed; cargo install cargo-nextest --locked").into());
    }
    hand_made::check_table()?;
    let copy = Copy::make()?;
    let baseline = copy.fate_of_tests("baseline")?;
    ensure!(
        baseline == Fate::Missed,
        "the source as it is comes to {baseline:?}; what was said is in {}",
        copy.logs().join("baseline.txt").display()
    );
    let mut tally = Tally::default();
    if !options.generated {
        hand_made::try_all(&copy, options, &mut tally)?;
    }
    let by_hand_only = options.quick || options.hand_made;
    let installed = generated::is_installed();
    if installed && !by_hand_only {
        generated::try_all(&copy, options, &mut tally)?;
    }
    ensure!(!tally.fates.is_empty(), "there is no such mutant");
    tally.judge()?;
    if !installed && !by_hand_only {
        println!("xtask: {tally}");
        return Err(Skipped("cargo-mutants is not installed, only the mutants made by hand were tried; cargo install cargo-mutants --locked").into());
    }
    Ok(tally.to_string())
}
