//! The mutants that `cargo mutants` makes.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::copy::{Copy, timed_out};
use super::{Fate, Options, Tally};
use crate::tools::{self, cargo};

/// The files that are broken: barrier, handshakes, the end of the mark, the sweep, fields and locks, roots and pins, what is weak,
/// cleanups; the pacer, assists, safepoints, reports of cycles.
const FILES: &[&str] = &[
    "cleanup.rs",
    "collector/assist.rs",
    "collector/barrier.rs",
    "collector/cycle.rs",
    "collector/decision.rs",
    "collector/ephemerons.rs",
    "collector/handshake.rs",
    "collector/mark.rs",
    "collector/mark/pending.rs",
    "collector/mark/ahead.rs",
    "collector/mark/sharing.rs",
    "collector/mark/window.rs",
    "collector/pacer/mod.rs",
    "collector/pin_walk.rs",
    "collector/queue.rs",
    "collector/relay.rs",
    "collector/report.rs",
    "collector/room.rs",
    "collector/steps.rs",
    "collector/workers.rs",
    "gc/cell.rs",
    "gc/lock/mod.rs",
    "gc/lock/mutex.rs",
    "gc/lock/once.rs",
    "gc/lock/rw_lock.rs",
    "gc/root.rs",
    "gc/root_table.rs",
    "gc/tagged.rs",
    "gc/weak/interner.rs",
    "gc/weak/map.rs",
    "gc/weak/mod.rs",
    "gc/weak/table.rs",
    "memory/free_spans.rs",
    "memory/returning.rs",
    "memory/quarters.rs",
    "memory/sweep.rs",
    "memory/sweep/opening.rs",
    "memory/unit_set.rs",
    "pin/counter.rs",
    "pin/inner.rs",
    "pin/leak.rs",
    "pin/mod.rs",
    "pin/registry.rs",
    "pin/stripes.rs",
    "processor/acquire.rs",
    "processor/mod.rs",
    "processor/phase.rs",
    "processor/safepoint.rs",
    "processor/waiting.rs",
];

/// Values that `cargo mutants` would have functions return, and of which no such type has one: nothing with them compiles, and
/// each would take seconds to find that out.
const CANNOT_COMPILE: &str = r"with .*(NonNull|\bGc|MutexGuard)::(new|from)|with .*Box::leak";

const SOURCE: &str = "crates/linchpin/src/";

pub(super) fn is_installed() -> bool {
    tools::is_installed(cargo().args(["mutants", "--version"]))
}

pub(super) fn try_all(copy: &Copy, options: &Options, tally: &mut Tally) -> Result<()> {
    for file in FILES.iter().filter(|file| options.wants_file(file)) {
        try_file(copy, file, options, tally).with_context(|| format!("cargo mutants of {file}"))?;
    }
    Ok(())
}

fn try_file(copy: &Copy, file: &str, options: &Options, tally: &mut Tally) -> Result<()> {
    let names = short_names(&list(copy, file)?);
    // Of those with the same text, `cargo mutants` is asked for all, so that their numbers hold.
    if !names.keys().any(|name| options.wants_named(name)) {
        return Ok(());
    }
    let results = copy.place().join("cargo-mutants").join(file.replace('/', "-"));
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    fs::create_dir_all(&results)?;
    let mut command = copy.command();
    // The tests have passed on the unbroken source already.
    command
        .args(["mutants", "--in-place", "--baseline", "skip", "--test-tool", "nextest", "--profile", "mutants"])
        .args(["--package", "linchpin", "--cargo-arg=--lib", "--timeout", "100", "--build-timeout", "300"])
        .args(["--exclude-re", CANNOT_COMPILE, "--colors", "never", "--file", &format!("{SOURCE}{file}"), "--output"])
        .arg(&results);
    for text in &options.named {
        command.args(["--re", &literally(text)]);
    }
    println!("xtask: {command:?}");
    let status = command.status().context("cannot start cargo mutants")?;
    // Missed mutants and timeouts have codes of their own; whether they are findings is judged here.
    ensure!(matches!(status.code(), Some(0 | 2 | 3)), "cargo mutants ended with {status}");
    let results = results.join("mutants.out");
    let cut_off = logs_of_cut_off_tests(&results.join("log"))?;
    for (list, fate) in [
        ("caught.txt", Fate::Caught),
        ("timeout.txt", Fate::TimedOut),
        ("unviable.txt", Fate::Unviable),
        ("missed.txt", Fate::Missed),
    ] {
        for name in fs::read_to_string(results.join(list))?.lines() {
            let Some(short) = names.get(name) else { bail!("cargo mutants did not list {name}") };
            let fate = if fate == Fate::Caught && cut_off.iter().any(|said| said.contains(name)) {
                Fate::TimedOut
            } else {
                fate
            };
            tally.add(short.clone(), fate);
        }
    }
    Ok(())
}

/// A regular expression for exactly this text. (Not all punctuation may be escaped: `\<` is the beginning of a word.)
fn literally(text: &str) -> String {
    let special = |each: char| r"\.+*?()|[]{}^$".contains(each);
    text.chars().flat_map(|each| special(each).then_some('\\').into_iter().chain([each])).collect()
}

/// The mutants of a file, as `cargo mutants` calls them: with line and column.
fn list(copy: &Copy, file: &str) -> Result<String> {
    let output = copy
        .command()
        .args(["mutants", "--list", "--package", "linchpin", "--file", &format!("{SOURCE}{file}")])
        .output()
        .context("cannot start cargo mutants")?;
    ensure!(output.status.success(), "cargo mutants --list ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names that outlive a change elsewhere in the file: without line and column, numbered where several would be the same.
fn short_names(list: &str) -> HashMap<String, String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut names = HashMap::new();
    for line in list.lines() {
        let mut parts = line.splitn(4, ':');
        let (Some(file), Some(_), Some(_), Some(what)) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let short = format!("{}:{what}", file.trim_start_matches(SOURCE));
        let count = seen.entry(short.clone()).or_default();
        *count += 1;
        names.insert(line.to_owned(), if *count == 1 { short } else { format!("{short} ({count})") });
    }
    names
}

/// The logs of mutants for which a test was cut off; `cargo mutants` counts those as caught.
fn logs_of_cut_off_tests(logs: &std::path::Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(logs)? {
        let said = String::from_utf8_lossy(&fs::read(entry?.path())?).into_owned();
        if timed_out(&said) {
            found.push(said);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_taken_literally() {
        let name = "replace && with || in <impl Trace for GcRwLock<T>>::inspect -> bool (2)";
        let expression = r"replace && with \|\| in <impl Trace for GcRwLock<T>>::inspect -> bool \(2\)";
        assert_eq!(super::literally(name), expression);
    }
}
