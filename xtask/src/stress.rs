//! `cargo xtask stress`: the stress program over seeds and thread counts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::tools::{program, run_and_read};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long in all, in minutes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each run takes, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// With the heap's verifier and all its disturbances.
    #[arg(long)]
    paranoid: bool,
}

/// Runs until the time is over; the threads go from 1 to 8 and begin again, the seed grows by one each time.
pub(crate) fn run_all(options: &Options) -> Result<String> {
    let program = program()?;
    let started = Instant::now();
    let seconds = options.seconds.to_string();
    let mut sums = BTreeMap::new();
    let mut runs = 0;
    while started.elapsed().as_secs() < options.minutes * 60 {
        let seed = (options.seed + runs).to_string();
        let threads = (1 + runs % 8).to_string();
        let mut command = Command::new(&program);
        command.args(["stress", "--seconds", &seconds, "--threads", &threads, "--seed", &seed]);
        if options.paranoid {
            command.arg("--paranoid");
        }
        add(&mut sums, &run_and_read(&mut command)?)?;
        runs += 1;
    }
    let mut text =
        format!("{runs} runs of stress, seeds {} to {}", options.seed, options.seed + runs.saturating_sub(1));
    for (name, sum) in sums {
        write!(text, ", {name} {sum}")?;
    }
    Ok(text)
}

/// Adds up the figures that a run ends with.
fn add(sums: &mut BTreeMap<String, u64>, output: &str) -> Result<()> {
    let line = output.lines().last().and_then(|line| line.strip_prefix("figures: "));
    for figure in line.context("a run of stress ended without its figures")?.split_whitespace() {
        let (name, value) = figure.split_once('=').with_context(|| format!("{figure} is no figure"))?;
        let value: u64 = value.parse().with_context(|| format!("{figure} is no figure"))?;
        *sums.entry(name.to_owned()).or_default() += value;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_added_up() {
        let mut sums = BTreeMap::new();
        add(&mut sums, "a line\nfigures: cycles=3 pins=4\n").unwrap();
        add(&mut sums, "figures: cycles=10 pins=0\n").unwrap();
        assert_eq!((sums["cycles"], sums["pins"]), (13, 4));
        add(&mut sums, "figures: cycles=\n").unwrap_err();
        add(&mut sums, "nothing\n").unwrap_err();
    }
}
