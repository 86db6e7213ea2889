//! `cargo xtask asan`, `tsan` and `valgrind`: the library and the program under tools that watch each access to memory.
//!
//! A clean run says nothing of a tool that sees nothing. So before each, the tool must report errors that are planted, and
//! must be quiet where there is none (`planted.rs` in `xtask/sanitizers`, beside what the tools are told).
//!
//! - [`address`] and [`thread`]: the sanitizers of the nightly toolchain, over tests, stress and the job that calls C. The
//!   standard library is not instrumented there (its source may not be at hand);
//! - [`memcheck`]: valgrind over the job that calls C.

pub(crate) mod address;
pub(crate) mod memcheck;
pub(crate) mod thread;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{nightly_host, run_and_read, run_for, sample_text, scratch, target_directory, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A minute's worth, for every change.
    #[arg(long)]
    quick: bool,
}

/// Tests that are left out of a run, by name (or a part of it that they share), and why.
type LeftOut = (&'static str, &'static str);

/// The test files that no sanitizer has any use for.
const FILES_LEFT_OUT: [LeftOut; 1] = [("compile_fail", "the compiler is what it tests")];

/// One sanitizer of the nightly toolchain: how to build for it, and what it is told at run time.
struct Sanitizer {
    name: &'static str,
    host: String,
    flags: Vec<String>,
    /// Where it is built.
    directory: PathBuf,
    /// The environment variable that it reads, and what is in it.
    variable: &'static str,
    settings: String,
    left_out: &'static [LeftOut],
}

impl Sanitizer {
    /// `short` names the task and its directory; `variable` is what the sanitizer reads.
    fn new(name: &'static str, short: &str, variable: &'static str, left_out: &'static [LeftOut]) -> Result<Self> {
        Ok(Self {
            name,
            host: nightly_host()?,
            flags: [format!("-Zsanitizer={name}"), "-Cunsafe-allow-abi-mismatch=sanitizer".to_owned()].into(),
            directory: target_directory().join(short),
            variable,
            settings: String::new(),
            left_out,
        })
    }

    /// Where the reports of a run go: a file for each process, whatever becomes of it and of what it says.
    fn reports(&self) -> PathBuf {
        self.directory.join("reports")
    }

    /// Cargo, with all that a build for the sanitizer takes in one file, for use by hand, too.
    fn cargo(&self, arguments: &[&str]) -> Result<Command> {
        let settings = self.directory.join("sanitizer.toml");
        fs::create_dir_all(&self.directory)?;
        // With a target, build scripts and procedural macros are built without the flags. The library is a little optimised,
        // as these programs are slow, with all assertions; what it depends on is soon built. With all debug information: of
        // line tables alone, inlined functions have no full names, which `tsan.supp` must find. Nothing is built here twice, so
        // what an incremental build keeps would only fill the disk.
        let text = format!(
            "build.target = {:?}\nbuild.target-dir = {:?}\nbuild.rustflags = {:?}\nbuild.incremental = false\n\
             profile.dev.opt-level = 1\nprofile.dev.debug = \"full\"\nprofile.dev.package.\"*\".opt-level = 0\n",
            self.host, self.directory, self.flags
        );
        fs::write(&settings, text)?;
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]).args(arguments).arg("--config").arg(&settings);
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        // The text of a backtrace is made by std, out of caches under a lock, which is not seen. Reports have their own.
        command.env("RUST_BACKTRACE", "0");
        command.env(self.variable, format!("{}log_path={}", self.settings, self.reports().join("report").display()));
        Ok(command)
    }

    /// Runs a command of `cargo`, and fails if any process of it wrote a report. Gives what it wrote itself.
    fn run(&self, command: &mut Command) -> Result<String> {
        let reports = self.reports();
        if reports.exists() {
            fs::remove_dir_all(&reports)?;
        }
        fs::create_dir_all(&reports)?;
        let outcome = run_and_read(command);
        let mut found = 0;
        for entry in fs::read_dir(&reports)? {
            let text = fs::read(entry?.path())?;
            eprintln!("{}", String::from_utf8_lossy(&text));
            found += 1;
        }
        ensure!(found == 0, "the {} sanitizer reported errors in {found} processes; see above", self.name);
        outcome
    }

    /// The program with the planted errors.
    fn planted(&self) -> Result<Planted> {
        let mut rustc = Command::new("rustup");
        rustc.args(["run", "nightly", "rustc"]).args(&self.flags);
        Planted::compile(rustc, &self.directory, &[(self.variable, self.settings.clone())], &[])
    }

    /// Runs tests of the library, stress and the job that calls C. Gives the figures.
    fn run_all(&self, options: &Options) -> Result<String> {
        for (name, reason) in self.left_out.iter().chain(&FILES_LEFT_OUT) {
            println!("xtask: left out: {name}: {reason}");
        }
        let files = if options.quick { QUICK_FILES.map(str::to_owned).to_vec() } else { test_files()? };
        let mut command = self.cargo(&["test", "--no-fail-fast", "--package", "linchpin"])?;
        if !options.quick {
            command.arg("--lib");
        }
        files.iter().for_each(|file| _ = command.args(["--test", file]));
        // What tests say is not captured: std writes it to a buffer of the test harness, under a lock which is not seen.
        command.args(["--", "--test-threads", "2", "--nocapture"]);
        self.left_out.iter().for_each(|(name, _)| _ = command.args(["--skip", name]));
        let mut tests = tests_passed(&self.run(&mut command)?)?;

        let mut runs = 0;
        let mut stress = |arguments: &[&str]| {
            runs += 1;
            let mut command = self.cargo(&["run", "--package", "linchpin-cli"])?;
            self.run(command.args(["--", "stress"]).args(arguments))
        };
        if options.quick {
            stress(&["--seconds", "5", "--threads", "4", "--seed", "7"])?;
            stress(&["--seconds", "5", "--threads", "3", "--seed", "8", "--paranoid"])?;
        } else {
            for threads in ["1", "2", "4", "8"] {
                stress(&["--seconds", "20", "--threads", threads, "--seed", "7"])?;
                stress(&["--seconds", "20", "--threads", threads, "--seed", "8", "--paranoid"])?;
            }
            let arguments = ["test", "--no-fail-fast", "--package", "linchpin-cli", "--test", "compress"];
            let output = self.run(self.cargo(&arguments)?.args(["--", "--test-threads", "2"]))?;
            tests += tests_passed(&output)?;
        }
        let input = sample(&format!("{}-compress", self.name), if options.quick { 4 } else { 40 })?;
        let mut command = self.cargo(&["run", "--package", "linchpin-cli"])?;
        self.run(command.args(["--", "compress", "--verify", "--threads", "2"]).args(&input))?;
        let mut text = format!("{} sanitizer: {tests} tests, {runs} runs of stress and compress are clean", self.name);
        if !self.left_out.is_empty() && !options.quick {
            write!(text, ", {} tests left out", self.left_out.len())?;
        }
        Ok(text)
    }
}

/// What is tested for every change: threads, and all that a pin does.
const QUICK_FILES: [&str; 3] = ["barriers", "pinner", "processors"];

/// The library's test files, by name.
fn test_files() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace().join("crates/linchpin/tests"))? {
        let path = entry?.path();
        let is_test = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists();
        let name = path.file_stem().context("a file has a name")?.to_string_lossy().into_owned();
        if is_test && FILES_LEFT_OUT.iter().all(|(left_out, _)| *left_out != name) {
            names.push(name);
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "there are no test files");
    Ok(names)
}

/// How many tests passed, by what cargo wrote.
fn tests_passed(output: &str) -> Result<u64> {
    let mut passed = 0;
    for line in output.lines().filter_map(|line| line.strip_prefix("test result: ok. ")) {
        let (number, _) = line.split_once(" passed").context("a test program ended without its figures")?;
        passed += number.parse::<u64>().context("a test program ended without its figures")?;
    }
    ensure!(passed > 0, "no test has run");
    Ok(passed)
}

/// Real text to compress, in two files.
fn sample(name: &str, times: usize) -> Result<[PathBuf; 2]> {
    let directory = scratch(name)?;
    let files = ["first", "second"].map(|file| directory.join(file));
    fs::write(&files[0], sample_text(times)?)?;
    fs::write(&files[1], sample_text(times / 2)?)?;
    Ok(files)
}

/// The files beside this task that are not part of it.
fn beside(name: &str) -> PathBuf {
    workspace().join("xtask/sanitizers").join(name)
}

/// The program with the planted errors, compiled for one tool.
struct Planted {
    program: PathBuf,
    variables: Vec<(&'static str, String)>,
    /// The tool's own command, if it is one, before the program.
    tool: Vec<String>,
}

impl Planted {
    fn compile(
        mut rustc: Command,
        directory: &Path,
        variables: &[(&'static str, String)],
        tool: &[String],
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let program = directory.join("planted");
        rustc.args(["--edition", "2024", "-g", "-o"]).arg(&program).arg(beside("planted.rs"));
        run_for("compiling the planted errors", &mut rustc)?;
        Ok(Self { program, variables: variables.to_vec(), tool: tool.to_vec() })
    }

    /// Runs it and gives whether it succeeded, and what it and its tool wrote.
    fn run(&self, what: &str) -> Result<(bool, String)> {
        let mut command = match self.tool.split_first() {
            Some((tool, arguments)) => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let output = command.arg(what).envs(self.variables.iter().map(|(name, value)| (name, value))).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Fails unless this error is reported.
    fn must_be_reported(&self, what: &str, report: &str) -> Result<()> {
        let (succeeded, text) = self.run(what)?;
        if succeeded || !text.contains(report) {
            bail!("a planted error ({what}) was not reported as {report:?}, so nothing here is to be trusted:\n{text}");
        }
        println!("xtask: planted: {what}: reported");
        Ok(())
    }

    /// Fails if anything is reported where all is well.
    fn must_be_clean(&self, what: &str) -> Result<()> {
        let (succeeded, text) = self.run(what)?;
        ensure!(succeeded, "errors were reported where there are none ({what}):\n{text}");
        println!("xtask: planted: {what}: clean");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_added_up() {
        let output = "test result: ok. 12 passed; 0 failed; 1 ignored\nx\ntest result: ok. 3 passed; 0 failed\n";
        assert_eq!(tests_passed(output).unwrap(), 15);
        tests_passed("test result: ok. 0 passed; 0 failed\n").unwrap_err();
        tests_passed("").unwrap_err();
    }

    #[test]
    fn test_files_are_found() {
        let files = test_files().unwrap();
        for file in QUICK_FILES.iter().chain(&["faults", "verify"]) {
            assert!(files.iter().any(|name| name == file), "{file} is not in {files:?}");
        }
        assert!(!files.iter().any(|name| name == "compile_fail" || name == "ui" || name == "common"), "{files:?}");
    }
}
