//! Running commands, and finding out what is installed.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A task that could not run: which tool is missing, and how to get it.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) &'static str);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Skipped {}

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(env!("CARGO"))
}

/// Runs a command in the workspace and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("xtask: {command:?}");
    let status = command.current_dir(workspace()).status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Runs a command in the workspace, shows what it writes, and gives what it wrote to its standard output.
pub(crate) fn run_and_read(command: &mut Command) -> Result<String> {
    println!("xtask: {command:?}");
    let mut child = command
        .current_dir(workspace())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line?;
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(text)
}

/// Runs a command in the workspace whose text is not worth showing, `what` it is for is; fails if it does.
pub(crate) fn run_for(what: &str, command: &mut Command) -> Result<()> {
    println!("xtask: {what}");
    let status = command.current_dir(workspace()).status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Whether a command that tells its version can be run.
pub(crate) fn is_installed(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The directory that cargo builds in.
pub(crate) fn target_directory() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from))
}

/// A directory under the target directory, made anew and empty.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let scratch = target_directory().join(name);
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).context("cannot clear the scratch directory of an earlier run")?;
    }
    std::fs::create_dir_all(&scratch)?;
    Ok(scratch)
}

/// Builds the program in release mode and returns its path.
pub(crate) fn program() -> Result<PathBuf> {
    run(cargo().args(["build", "--release", "--package", "linchpin-cli"]))?;
    Ok(target_directory().join("release").join("linchpin"))
}

/// The library's source, `times` times over: real text to compress.
pub(crate) fn sample_text(times: usize) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in std::fs::read_dir(workspace().join("crates/linchpin/src"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            text.extend(std::fs::read(path)?);
        }
    }
    Ok(text.repeat(times))
}

/// The nightly toolchain's host triple, which needs to be installed.
pub(crate) fn nightly_host() -> Result<String> {
    let nightly = Command::new("rustup").args(["run", "nightly", "rustc", "--version", "--verbose"]).output();
    let Some(nightly) = nightly.ok().filter(|output| output.status.success()) else {
        return Err(Skipped("no nightly toolchain is installed; rustup toolchain install nightly").into());
    };
    let text = String::from_utf8_lossy(&nightly.stdout);
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("rustc of the nightly toolchain does not tell its host"),
    }
}
