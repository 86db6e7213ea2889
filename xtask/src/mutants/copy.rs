//! The copy of the workspace that is broken, and the fast set of tests it must pass.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Fate;
use crate::tools::{cargo, target_directory, workspace};

/// The test files of the fast set. In the copy they are modules of the library's own test program, beside its unit tests:
/// one program to build and to link for each mutant.
const FAST: &[&str] = &[
    "barriers",
    "cells",
    "cleanups",
    "drops",
    "exhaustion",
    "forgotten_field",
    "interner",
    "liveness",
    "lock_barriers",
    "locks",
    "misuse",
    "pacing",
    "pinner",
    "pinner_addresses",
    "pinner_cache",
    "pinner_leak",
    "processors",
    "reclaim",
    "snapshot",
    "soundness",
    "tagged",
    "verify",
    "weak",
    "weak_map",
];

/// How the tests are run: each in a process of its own, until one fails, without the few that take seconds. A test that
/// does not end (they take a second at most) is cut off. Unit tests, which are short, go first.
const NEXTEST: &str = r#"[profile.mutants]
default-filter = "not test(/full_region_tests|a_busy_disturbed_heap|there_is_room_while|exhaustion::(a_full|large_obj|a_refused|alloc_in|objects_of)/)"
fail-fast = { max-fail = 1, terminate = "immediate" }
slow-timeout = { period = "12s", terminate-after = 1, grace-period = "0s" }
test-threads = 3
status-level = "fail"
final-status-level = "none"

[[profile.mutants.overrides]]
filter = "not test(/^fast_/)"
priority = 10
"#;

/// What `cargo nextest` exits with when a test failed; anything else is a build that did.
const TESTS_FAILED: i32 = 100;

pub(super) struct Copy {
    tree: PathBuf,
    logs: PathBuf,
}

impl Copy {
    /// Copies the workspace, except for what is as it was, so that little is built anew. What an earlier copy has and the
    /// workspace has not any more goes.
    pub(super) fn make() -> Result<Self> {
        let place = target_directory().join("mutants");
        let copy = Self { tree: place.join("tree"), logs: place.join("logs") };
        fs::create_dir_all(&copy.logs)?;
        copy_directory(&workspace(), &copy.tree)?;
        let library = copy.tree.join("crates/linchpin/src/lib.rs");
        let mut text = fs::read_to_string(workspace().join("crates/linchpin/src/lib.rs"))?;
        for name in FAST {
            text.push_str(&format!("\n#[cfg(test)]\n#[path = \"../tests/{name}.rs\"]\nmod fast_{name};\n"));
        }
        write_if_changed(&library, text.as_bytes())?;
        write_if_changed(&copy.tree.join(".config/nextest.toml"), NEXTEST.as_bytes())?;
        Ok(copy)
    }

    /// Where results go.
    pub(super) fn place(&self) -> &Path {
        self.tree.parent().expect("it was joined")
    }

    /// Where what the tests said is kept.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// A file of the library's source.
    pub(super) fn source(&self, file: &str) -> PathBuf {
        self.tree.join("crates/linchpin/src").join(file)
    }

    /// What every command on the copy needs: where to build, and that no lint makes a mutant unviable.
    pub(super) fn command(&self) -> Command {
        let mut command = cargo();
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", self.place().join("build"))
            .env("RUSTFLAGS", "--cap-lints warn")
            .env("NEXTEST_PROFILE", "mutants");
        command
    }

    /// Builds and tests the copy as it is now; what was said goes to a log.
    pub(super) fn fate_of_tests(&self, log: &str) -> Result<Fate> {
        let mut command = self.command();
        command.args(["nextest", "run", "--package", "linchpin", "--lib", "--cargo-profile", "mutants"]);
        let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        fs::write(self.logs.join(format!("{log}.txt")), said.as_bytes())?;
        Ok(match output.status.code() {
            Some(0) => Fate::Missed,
            Some(TESTS_FAILED) if timed_out(&said) => Fate::TimedOut,
            Some(TESTS_FAILED) => Fate::Caught,
            Some(_) => Fate::Unviable,
            None => bail!("{command:?} ended with {}", output.status),
        })
    }
}

/// Whether `cargo nextest` says that it cut a test off.
pub(super) fn timed_out(said: &str) -> bool {
    said.lines().any(|line| line.trim_start().starts_with("TIMEOUT ["))
}

fn is_hidden(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with('.') && name != ".cargo"
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !is_hidden(&entry.file_name()) && !from.join(entry.file_name()).exists() {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if !is_hidden(&name) && path != target_directory() && name != "target" {
                copy_directory(&path, &to.join(name))?;
            }
        } else {
            write_if_changed(&to.join(name), &fs::read(&path)?)?;
        }
    }
    Ok(())
}

pub(super) fn write_if_changed(path: &Path, contents: &[u8]) -> Result<()> {
    if !fs::read(path).is_ok_and(|present| present == contents) {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
