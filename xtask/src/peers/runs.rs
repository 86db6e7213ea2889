//! Running the programs, and reading what they print.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cases::Case;
use super::programs::Peer;

/// What a program exits with that cannot express a workload.
const EXIT_CANNOT_EXPRESS: i32 = 4;
/// A program that runs longer than this has hung.
const LONGEST: Duration = Duration::from_secs(1800);

/// The line of JSON that a program prints.
#[derive(Debug)]
pub(super) struct Line(Value);

impl Line {
    /// Reads it; everything that is to be there must be.
    pub(super) fn parse(text: &str) -> Result<Line> {
        let value: Value = serde_json::from_str(text.trim()).with_context(|| format!("no line of JSON: {text:?}"))?;
        let line = Line(value);
        ensure!(line.0.get("w").is_some_and(Value::is_string), "no workload in {text:?}");
        for key in ["threads", "ops", "check"] {
            line.number(key)?;
        }
        for key in ["wall_s", "ns_op"] {
            ensure!(line.figure(key)?.is_some(), "\"{key}\" is null in {text:?}");
        }
        for key in super::summary::COLUMNS.map(|column| column.key) {
            line.figure(key)?;
        }
        Ok(line)
    }

    /// A figure, which may be unknown.
    pub(super) fn figure(&self, key: &str) -> Result<Option<f64>> {
        match self.0.get(key) {
            Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            _ => bail!("no figure \"{key}\" in {}", self.0),
        }
    }

    /// A number, exactly.
    pub(super) fn number(&self, key: &str) -> Result<u64> {
        self.0.get(key).and_then(Value::as_u64).with_context(|| format!("no number \"{key}\" in {}", self.0))
    }
}

/// What came of asking a program.
#[derive(Debug)]
pub(super) enum Answer {
    /// What it printed.
    Line(Line),
    /// That this is nothing for it, and why.
    CannotExpress(String),
}

/// All lines of a run, kept in a file.
pub(super) struct Results {
    file: File,
    runs: u64,
    agreements: u64,
}

impl Results {
    /// A new file.
    pub(super) fn create(path: &Path) -> Result<Results> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Results { file, runs: 0, agreements: 0 })
    }

    /// How many programs have run.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// How many check sums were compared.
    pub(super) fn agreements(&self) -> u64 {
        self.agreements
    }

    /// Runs a program and keeps the line that it prints.
    pub(super) fn ask(&mut self, peer: &Peer, case: &Case, arguments: &[String], threads: u64) -> Result<Answer> {
        let mut command = peer.command(case.workload);
        command.args(["--threads", &threads.to_string()]).args(arguments).arg("--json");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let started = Instant::now();
        // It prints a line, which fits into the pipe.
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > LONGEST {
                child.kill()?;
                child.wait()?;
                bail!("{command:?} has not ended in {} s", LONGEST.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let (mut text, mut complaint) = (String::new(), String::new());
        child.stdout.take().expect("it is piped").read_to_string(&mut text)?;
        child.stderr.take().expect("it is piped").read_to_string(&mut complaint)?;
        if status.code() == Some(EXIT_CANNOT_EXPRESS) {
            return Ok(Answer::CannotExpress(complaint.trim().to_owned()));
        }
        ensure!(status.success(), "{command:?} ended with {status}: {}", complaint.trim());
        let line = Line::parse(&text)?;
        ensure!(line.number("threads")? == threads, "not on {threads} thread(s): {text}");
        let quoted = |text: &str| Value::from(text).to_string();
        writeln!(
            self.file,
            "{{\"peer\":{},\"version\":{},\"case\":{},{}",
            quoted(&peer.name),
            quoted(&peer.version),
            quoted(&case.title),
            text.trim().trim_start_matches('{'),
        )?;
        self.runs += 1;
        Ok(Answer::Line(line))
    }

    /// Fails unless all have done the same work, and come to the same result.
    pub(super) fn compare(&mut self, lines: &[(String, Line)]) -> Result<()> {
        let Some((first, expected)) = lines.first() else { return Ok(()) };
        for (name, line) in lines {
            for key in ["ops", "check"] {
                let (theirs, ours) = (line.number(key)?, expected.number(key)?);
                ensure!(theirs == ours, "{key} differs: {name} has {theirs}, {first} has {ours}");
            }
            self.agreements += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::peers) fn line(ns_op: f64, ops: u64, check: u64) -> Line {
        Line::parse(&text(ns_op, ops, check)).unwrap()
    }

    fn text(ns_op: f64, ops: u64, check: u64) -> String {
        format!(
            "{{\"w\":\"trees\",\"threads\":2,\"wall_s\":0.5,\"cpu_s\":0.75,\"ops\":{ops},\"ns_op\":{ns_op},\
             \"rss_mb\":8.5,\"cycles\":null,\"p50\":1.5,\"p99\":null,\"p999\":null,\"p9999\":null,\"max\":null,\
             \"wait_max_us\":null,\"check\":{check}}}\n"
        )
    }

    /// A peer that is a line for the shell, which has the workload in `$0`.
    fn shell(line: &str) -> Peer {
        let line: &'static str = line.to_owned().leak();
        let mut peer = Peer::for_test("Some \"peer\"", Path::new("/bin/sh"));
        peer.before = vec!["-c", line].leak();
        peer
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("linchpin-peers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn figures_are_read_exactly() {
        let line = line(7.25, 10, (1 << 53) - 1);
        assert_eq!(line.figure("ns_op").unwrap(), Some(7.25));
        assert_eq!(line.figure("cycles").unwrap(), None);
        assert_eq!(line.number("check").unwrap(), (1 << 53) - 1);
    }

    #[test]
    fn lines_that_lack_something_are_refused() {
        assert!(Line::parse("no JSON").is_err());
        let whole = text(1.0, 2, 3);
        for key in ["w", "threads", "wall_s", "ops", "ns_op", "rss_mb", "cycles", "p9999", "wait_max_us", "check"] {
            let error = Line::parse(&whole.replace(&format!("\"{key}\""), "\"other\"")).unwrap_err();
            assert!(error.to_string().contains("no "), "{key}: {error}");
        }
        assert!(Line::parse(&whole.replace("\"ns_op\":1", "\"ns_op\":null")).is_err());
    }

    #[test]
    fn differences_are_noticed() {
        let directory = scratch("compare");
        let mut results = Results::create(&directory.join("results.jsonl")).unwrap();
        let lines =
            |lines: [Line; 2]| ["one".to_owned(), "other".to_owned()].into_iter().zip(lines).collect::<Vec<_>>();
        results.compare(&lines([line(1.0, 2, 3), line(9.0, 2, 3)])).unwrap();
        assert_eq!(results.agreements(), 2);
        let error = results.compare(&lines([line(1.0, 2, 3), line(1.0, 2, 4)])).unwrap_err();
        assert_eq!(error.to_string(), "check differs: other has 4, one has 3");
        results.compare(&lines([line(1.0, 2, 3), line(1.0, 1, 3)])).unwrap_err();
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn answers_are_told_apart() {
        let case = &super::super::cases::all(true, 1)[0];
        let line = text(1.0, 2, 3).trim().to_owned();
        let directory = scratch("answers");
        let path = directory.join("results.jsonl");
        let mut results = Results::create(&path).unwrap();
        let mut ask = |peer: &Peer, threads| results.ask(peer, case, &case.measured, threads);
        let able = shell(&format!("[ \"$0 $1 $2 $3 $4\" = 'trees --threads 2 --depth 12' ] && echo '{line}'"));
        assert!(matches!(ask(&able, 2).unwrap(), Answer::Line(_)));
        let kept = std::fs::read_to_string(path).unwrap();
        let start = "{\"peer\":\"Some \\\"peer\\\"\",\"version\":\"1\",\"case\":\"trees, depth 12\",\"w\":";
        assert!(kept.starts_with(start), "{kept}");
        assert!(Line::parse(&kept).is_ok());
        // On another number of threads than were asked for.
        let error = ask(&shell(&format!("echo '{line}'")), 1).unwrap_err();
        assert!(error.to_string().contains("not on 1 thread(s)"), "{error}");
        let answer = ask(&shell("echo 'no cycles' >&2; exit 4"), 2).unwrap();
        assert!(matches!(answer, Answer::CannotExpress(why) if why == "no cycles"));
        let error = ask(&shell("echo 'a byte is wrong' >&2; exit 1"), 2).unwrap_err();
        assert!(error.to_string().contains("a byte is wrong"), "{error}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
