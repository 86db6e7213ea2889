//! What is read, what is written, and which of it cannot be right.
//!
//! Everything that can be seen before any file is opened for writing is refused here: a missing
//! file, a directory, two inputs with one output, an output that is an input.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// One file to compress.
pub(crate) struct Plan {
    /// The file as the user named it.
    pub(crate) source: PathBuf,
    /// The file that the output becomes.
    pub(crate) target: PathBuf,
    /// The length of the source when it was planned; for the progress bar only.
    pub(crate) expected_bytes: u64,
}

/// One file that could not be compressed, and why.
pub(crate) struct Failure {
    source: PathBuf,
    reason: anyhow::Error,
}

impl Failure {
    /// `reason` is why `source` could not be compressed.
    pub(crate) fn new(source: &Path, reason: anyhow::Error) -> Self {
        Self { source: source.to_owned(), reason }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:#}", self.source.display(), self.reason)
    }
}

/// Sorts the files into those that can be tried and those that cannot; an error if none can.
pub(crate) fn plan(
    files: &[PathBuf],
    output_dir: Option<&Path>,
    force: bool,
) -> anyhow::Result<(Vec<Plan>, Vec<Failure>)> {
    if let Some(directory) = output_dir {
        let metadata = fs::metadata(directory)
            .with_context(|| format!("cannot use the output directory {}", directory.display()))?;
        ensure!(metadata.is_dir(), "{} is not a directory", directory.display());
    }
    // Resolved, so that one file under two spellings is still seen as one.
    let inputs: HashSet<PathBuf> = files.iter().filter_map(|file| fs::canonicalize(file).ok()).collect();
    let mut outputs: HashMap<PathBuf, &Path> = HashMap::new();
    let mut plans = Vec::new();
    let mut failures = Vec::new();
    for file in files {
        match plan_one(file, output_dir, force, &inputs, &outputs) {
            Ok(plan) => {
                outputs.insert(plan.target.clone(), file);
                plans.push(plan);
            }
            Err(reason) => failures.push(Failure::new(file, reason)),
        }
    }
    Ok((plans, failures))
}

fn plan_one(
    file: &Path,
    output_dir: Option<&Path>,
    force: bool,
    inputs: &HashSet<PathBuf>,
    outputs: &HashMap<PathBuf, &Path>,
) -> anyhow::Result<Plan> {
    let metadata = fs::metadata(file).context("cannot read it")?;
    ensure!(!metadata.is_dir(), "is a directory");
    // A pipe would keep a mutation open for as long as its writer likes, a device may never end.
    ensure!(metadata.is_file(), "is not a regular file");
    let Some(name) = file.file_name() else { bail!("has no file name") };
    ensure!(
        force || file.extension().is_none_or(|extension| extension != "gz"),
        "ends in .gz already (--force compresses it all the same)"
    );

    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = fs::canonicalize(output_dir.unwrap_or(parent)).context("cannot resolve the output's directory")?;
    let mut output_name = OsString::from(name);
    output_name.push(".gz");
    let target = directory.join(output_name);

    if let Some(other) = outputs.get(&target) {
        bail!("its output {} is that of {} already", target.display(), other.display());
    }
    ensure!(!inputs.contains(&target), "its output {} is an input too", target.display());
    // Checked again, without a gap, when the output gets its name; here it saves the work.
    ensure!(
        force || fs::symlink_metadata(&target).is_err(),
        "{} exists already (--force overwrites it)",
        target.display()
    );
    Ok(Plan { source: file.to_owned(), target, expected_bytes: metadata.len() })
}
