//! `cargo xtask loom`: the lock-free pieces under the model checker, and orderings that are weakened on purpose.

use anyhow::{Result, ensure};

use crate::tools::{cargo, run_and_read};

pub(crate) fn explore() -> Result<String> {
    let mut command = cargo();
    command
        .args(["test", "--profile", "loom", "--package", "linchpin", "--lib", "loom_tests"])
        .args(["--", "--nocapture", "--test-threads", "2"])
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", "target/loom");
    let output = run_and_read(&mut command)?;
    let explored: u64 = output
        .lines()
        .filter_map(|line| line.strip_suffix(" interleavings")?.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    let weakened = output.lines().filter(|line| line.contains("weakened ")).count();
    ensure!(explored > 0 && weakened > 0, "the models did not tell what they explored");
    Ok(format!("loom: {explored} interleavings explored, {weakened} weakened orderings noticed"))
}
