//! `cargo xtask stress`: the stress program over seeds and thread counts.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::tools::{program, run};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long in all, in minutes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run_all(options: &Options) -> Result<String> {
    let program = program()?;
    let started = Instant::now();
    let mut runs = 0;
    while started.elapsed().as_secs() < options.minutes * 60 {
        let seed = (options.seed + runs).to_string();
        let threads = (1 + runs % 8).to_string();
        run(Command::new(&program).args(["stress", "--seconds", "15", "--threads", &threads, "--seed", &seed]))?;
        runs += 1;
    }
    Ok(format!("{runs} runs of stress, seeds {} to {}", options.seed, options.seed + runs.saturating_sub(1)))
}
