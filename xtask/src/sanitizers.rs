//! `cargo xtask asan`: the library and the program under a sanitizer of the nightly toolchain.
//!
//! The standard library is not instrumented (its source may not be at hand).

use std::process::Command;

use anyhow::Result;

use crate::tools::{nightly_host, run};

/// Runs tests, stress and the C job under the address sanitizer.
pub(crate) fn address() -> Result<String> {
    let host = nightly_host()?;
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command
            .args(["run", "nightly", "cargo"])
            .args(arguments)
            .args(["--target", &host])
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
