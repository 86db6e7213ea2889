//! `cargo xtask smoke`: each job of the program once, briefly, on real input.

mod cache_server;

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::tools::{is_installed, program, run, sample_text, scratch};

/// Each workload of the benchmarks, small.
const WORKLOADS: [&[&str]; 9] = [
    &["trees", "--depth", "14"],
    &["gcbench", "--depth", "12", "--array", "100000"],
    &["alloc", "--n", "1000000"],
    &["churn", "--nodes", "50000", "--steps", "1000000"],
    &["cache", "--slots", "5000", "--steps", "100000"],
    &["hiccup", "--steps", "1000"],
    &["types", "--n", "1000000"],
    &["array", "--slots", "500000", "--n", "200000"],
    &["list", "--nodes", "200000", "--collections", "3"],
];

pub(crate) fn run_all() -> Result<String> {
    let program = program()?;
    let scratch = scratch("smoke")?;

    for arguments in WORKLOADS {
        for threads in ["1", "2"] {
            run(Command::new(&program).arg("bench").args(arguments).args(["--threads", threads]))?;
        }
    }
    let lines = Command::new(&program)
        .args(["bench", "pinner", "--format", "go", "--count", "2", "--bench-time", "5"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(lines.status.success(), "the pinner benchmark failed");
    let file = scratch.join("pinner.txt");
    std::fs::write(&file, &lines.stdout)?;
    run(Command::new(&program).args(["bench", "compare"]).args([&file, &file]))?;

    let input = scratch.join("input");
    std::fs::write(&input, sample_text(40)?)?;
    run(Command::new(&program).arg("compress").arg(&input))?;
    let output = scratch.join("input.gz");
    ensure!(output.exists(), "compress wrote no {}", output.display());
    let gzip = if is_installed(Command::new("gzip").arg("--version")) {
        run(Command::new("gzip").arg("-t").arg(&output))?;
        "gzip -t agrees"
    } else {
        "SKIPPED: gzip is not installed"
    };
    run(Command::new(&program).args(["stress", "--seconds", "5", "--threads", "4", "--seed", "42"]))?;
    let cache = cache_server::run_it()?;
    Ok(format!("workloads, pinner, compare, compress ({gzip}), stress, cache server ({cache})"))
}
