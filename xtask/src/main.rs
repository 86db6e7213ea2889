//! Development tasks of the linchpin workspace: `cargo xtask TASK`.
//!
//! Each task prints what it runs, ends with a line of figures, and exits nonzero on a finding. A tool that is missing is
//! reported as skipped, by name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

/// Development tasks of the linchpin workspace.
#[derive(Parser)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the program and run each of its jobs once, briefly, on real input.
    Smoke,
    /// Run the stress program over seeds and thread counts.
    Stress {
        /// For how long in all, in minutes.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Search the large configurations of the protocol's model (some minutes, 4 GB of memory).
    Model,
    /// Run the library's tests, the stress program and the C job under the address sanitizer (nightly toolchain).
    Asan,
}

fn main() -> ExitCode {
    let task = Xtask::parse().task;
    let started = Instant::now();
    let outcome = match task {
        Task::Smoke => smoke(),
        Task::Stress { minutes, seed } => stress(minutes, seed),
        Task::Model => model(),
        Task::Asan => asan(),
    };
    match outcome {
        Ok(figures) => {
            println!("xtask: ok: {figures}; {} s", started.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Runs a command in the workspace and fails if it does.
fn run(command: &mut Command) -> Result<()> {
    println!("xtask: {command:?}");
    let status = command.current_dir(workspace()).status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Builds the program in release mode and returns its path.
fn program() -> Result<PathBuf> {
    run(Command::new(env!("CARGO")).args(["build", "--release", "--package", "linchpin-cli"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    Ok(workspace().join(target).join("release").join("linchpin"))
}

fn smoke() -> Result<String> {
    let program = program()?;
    let scratch = workspace().join("target").join("smoke");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).context("cannot clear the scratch directory of an earlier run")?;
    }
    std::fs::create_dir_all(&scratch)?;

    run(Command::new(&program).args(["bench", "trees", "--depth", "14", "--threads", "2"]))?;
    let lines = Command::new(&program)
        .args(["bench", "pinner", "--format", "go", "--count", "2", "--bench-time", "5"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(lines.status.success(), "the pinner benchmark failed");
    let file = scratch.join("pinner.txt");
    std::fs::write(&file, &lines.stdout)?;
    run(Command::new(&program).args(["bench", "compare"]).args([&file, &file]))?;

    let input = scratch.join("input");
    let mut text = Vec::new();
    for entry in std::fs::read_dir(workspace().join("crates/linchpin/src"))? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            text.extend(std::fs::read(path)?);
        }
    }
    std::fs::write(&input, text.repeat(40))?;
    run(Command::new(&program).arg("compress").arg(&input))?;
    let output = scratch.join("input.gz");
    ensure!(output.exists(), "compress wrote no {}", output.display());
    let gzip = match Command::new("gzip").arg("--version").output() {
        Ok(_) => {
            run(Command::new("gzip").arg("-t").arg(&output))?;
            "gzip -t agrees"
        }
        Err(_) => "SKIPPED: gzip is not installed",
    };
    run(Command::new(&program).args(["stress", "--seconds", "5", "--threads", "4", "--seed", "42"]))?;
    Ok(format!("trees, pinner, compare, compress ({gzip}), stress"))
}

fn stress(minutes: u64, first_seed: u64) -> Result<String> {
    let program = program()?;
    let started = Instant::now();
    let mut runs = 0;
    while started.elapsed().as_secs() < minutes * 60 {
        let seed = (first_seed + runs).to_string();
        let threads = (1 + runs % 8).to_string();
        run(Command::new(&program).args(["stress", "--seconds", "15", "--threads", &threads, "--seed", &seed]))?;
        runs += 1;
    }
    Ok(format!("{runs} runs of stress, seeds {first_seed} to {}", first_seed + runs.saturating_sub(1)))
}

fn model() -> Result<String> {
    run(Command::new(env!("CARGO")).args(["run", "--release", "--package", "linchpin-model", "--", "--full"]))?;
    Ok("the protocol holds in every configuration, each fault is found".to_owned())
}

/// Runs tests, stress and the C job under the address sanitizer of the nightly toolchain. The standard library is not
/// instrumented (its source may not be at hand), which hides nothing of ours.
fn asan() -> Result<String> {
    let nightly = Command::new("rustup").args(["run", "nightly", "rustc", "--version", "--verbose"]).output();
    let Some(nightly) = nightly.ok().filter(|output| output.status.success()) else {
        return Ok("SKIPPED: no nightly toolchain is installed".to_owned());
    };
    let text = String::from_utf8_lossy(&nightly.stdout);
    let Some(host) = text.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("rustc does not tell its host");
    };
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command
            .args(["run", "nightly", "cargo"])
            .args(arguments)
            .args(["--target", host])
            .env("RUSTFLAGS", "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer")
            .env("CARGO_TARGET_DIR", "target/asan");
        command
    };
    // Tests that abort a child process on purpose and compile-fail tests say nothing about memory, so only the tests of
    // behaviour run here.
    let tests = ["pinner", "pinner_addresses", "pinner_cache", "reclaim", "processors", "liveness", "cells", "drops"];
    let mut command = cargo(&["test", "--package", "linchpin", "--lib"]);
    for test in tests {
        command.args(["--test", test]);
    }
    run(&mut command)?;
    run(cargo(&["test", "--package", "linchpin-cli", "--test", "compress"]).args(["--", "--test-threads", "2"]))?;
    let stress = ["--", "stress", "--seconds", "30", "--threads", "4", "--seed", "7"];
    run(cargo(&["run", "--package", "linchpin-cli"]).args(stress))?;
    Ok(format!("address sanitizer: {} test files, compress and stress are clean", tests.len() + 1))
}
