//! `cargo xtask valgrind`: memcheck over the job that calls C.
//!
//! Memcheck watches the whole program, C and the standard library included, as it is released. It sees each access to what
//! Rust and C have allocated, and whether what a decision or a call of the system depends on was ever written: so zlib's
//! state, the streams handed to it, and bytes that are handed to it without having been written. The heap's region
//! is one mapping to it, all of it accessible and, as the kernel gives it, written: a dead object that C still reads is not
//! seen here (but in the output, which the job compares).

use std::process::Command;

use anyhow::Result;

use super::{Options, Planted, beside, sample};
use crate::tools::{Skipped, is_installed, program, run, target_directory};

/// What memcheck is told.
const ARGUMENTS: [&str; 6] = [
    "--error-exitcode=9",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--show-leak-kinds=definite,indirect,possible",
    // Threads take turns; without this one may wait for long.
    "--fair-sched=yes",
    "--num-callers=30",
];

pub(crate) fn run_all(options: &Options) -> Result<String> {
    if !is_installed(Command::new("valgrind").arg("--version")) {
        return Err(Skipped("valgrind is not installed; apt-get install valgrind, or your system's like").into());
    }
    let suppressions = format!("--suppressions={}", beside("valgrind.supp").display());
    let tool: Vec<String> = ["valgrind", &suppressions].into_iter().chain(ARGUMENTS).map(str::to_owned).collect();
    let planted = Planted::compile(Command::new("rustc"), &target_directory().join("valgrind"), &[], &tool)?;
    planted.must_be_reported("use-after-free", "Invalid read of size 8")?;
    planted.must_be_reported("uninitialised", "depends on uninitialised value")?;
    planted.must_be_reported("leak", "definitely lost")?;
    planted.must_be_clean("clean")?;

    let program = program()?;
    let times = if options.quick { 1 } else { 10 };
    let mut runs = 0;
    for level in if options.quick { &["6"][..] } else { &["1", "6", "9"] } {
        let input = sample("valgrind-compress", times)?;
        let arguments = ["compress", "--verify", "--threads", "2", "--level", level];
        run(Command::new(&tool[0]).args(&tool[1..]).arg(&program).args(arguments).args(&input))?;
        runs += 1;
    }
    Ok(format!("memcheck: {runs} runs of compress are clean"))
}
