//! `cargo xtask loom`: the lock-free pieces under the model checker, and orderings and steps that are got wrong on purpose.

use anyhow::{Result, ensure};

use crate::tools::{cargo, run_and_read};

/// How many interleavings of each model the short form looks at.
const QUICK: &str = "300";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Look at some hundred interleavings of each model only, and leave out what is slow to be noticed.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn explore(options: &Options) -> Result<String> {
    let mut command = cargo();
    command
        .args(["test", "--profile", "loom", "--package", "linchpin", "--lib", "loom_tests"])
        .args(["--", "--nocapture", "--test-threads", "2"])
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", "target/loom")
        .env_remove("LINCHPIN_LOOM_QUICK");
    if options.quick {
        command.env("LINCHPIN_LOOM_QUICK", QUICK);
    }
    let output = run_and_read(&mut command)?;
    let explored: Vec<u64> = output
        .lines()
        .filter_map(|line| line.strip_suffix(" interleavings")?.rsplit(' ').next()?.parse().ok())
        .collect();
    let noticed = |how: &str| output.lines().filter(|line| line.contains(how) && line.ends_with(" fails")).count();
    let (weakened, reordered) = (noticed("weakened "), noticed("reordered "));
    ensure!(!explored.is_empty() && weakened > 0 && reordered > 0, "the models did not tell what they explored");
    Ok(format!(
        "loom: {} models, {} interleavings explored{}, {weakened} weakened orderings and {reordered} reordered steps noticed",
        explored.len(),
        explored.iter().sum::<u64>(),
        if options.quick { " (short form)" } else { "" },
    ))
}
