//! Scenarios that limit, measure or end a whole process run in one of their own: the test program starts itself again.

use std::process::{Command, ExitStatus, Stdio, exit};
use std::{env, fs};

/// Names the test whose scenario a process is there for.
const SCENARIO: &str = "LINCHPIN_TEST_SCENARIO";
/// What a scenario that came to its end has said last, to its output: its error stream may take nothing.
const CAME_TO_ITS_END: &str = "the scenario came to its end";
/// A scenario that hangs is killed after so many seconds, so that its test fails instead of hanging, too. A long one says
/// meanwhile that it [goes on](go_on).
const KILLED_AFTER: u32 = 600;

/// How the process of a scenario ended.
pub(crate) struct Ended {
    status: ExitStatus,
    came_to_its_end: bool,
    /// What it wrote to its error stream.
    pub(crate) said: String,
}

/// Runs `scenario` in a process of its own. `test` is the full name of the test that calls this.
pub(crate) fn in_own_process(test: &str, scenario: impl FnOnce()) -> Ended {
    in_own_process_with(test, &[], scenario)
}

/// As [`in_own_process`], with further environment variables.
pub(crate) fn in_own_process_with(test: &str, variables: &[(&str, &str)], scenario: impl FnOnce()) -> Ended {
    run(test, variables, Stdio::piped(), scenario)
}

/// As [`in_own_process_with`], with an error stream to which nothing can be written: it is a device without room.
pub(crate) fn unheard_in_own_process(test: &str, variables: &[(&str, &str)], scenario: impl FnOnce()) -> Ended {
    let full = fs::File::options().write(true).open("/dev/full").expect("the system has a device without room");
    run(test, variables, full.into(), scenario)
}

fn run(test: &str, variables: &[(&str, &str)], error_stream: Stdio, scenario: impl FnOnce()) -> Ended {
    if env::var(SCENARIO).is_ok_and(|name| name == test) {
        go_on();
        scenario();
        println!("{CAME_TO_ITS_END}");
        exit(0);
    }
    let output = Command::new(env::current_exe().expect("a test knows its program"))
        .args(["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, test)
        // The text of a backtrace is long, and making it takes memory that a scenario may have forbidden.
        .env("RUST_BACKTRACE", "0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(error_stream)
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the test program starts again");
    Ended {
        status: output.status,
        came_to_its_end: String::from_utf8_lossy(&output.stdout).contains(CAME_TO_ITS_END),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Gives the scenario that runs in this process its time once more.
pub(crate) fn go_on() {
    // SAFETY: setting a timer whose signal has its default effect concerns no memory.
    unsafe { libc::alarm(KILLED_AFTER) };
}

impl Ended {
    /// Fails unless the scenario came to its end; gives what it said.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        let Self { status, came_to_its_end, said } = self;
        assert!(status.success(), "{status}; it said: {said}");
        assert!(came_to_its_end, "no test of this name ran? It said: {said}");
        said
    }

    /// Fails unless the process has aborted itself before the scenario came to its end; gives what it said.
    #[track_caller]
    pub(crate) fn by_abort(self) -> String {
        let Self { status, came_to_its_end, said } = self;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGABRT), "{status}; {said}");
        assert!(!came_to_its_end, "{said}");
        said
    }
}

/// What a process takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    pub(crate) address_space: usize,
    pub(crate) resident: usize,
    pub(crate) mappings: usize,
    pub(crate) threads: usize,
    pub(crate) files: usize,
}

impl Footprint {
    /// That of this process.
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).expect("the kernel tells of a process");
        let count = |path: &str| fs::read_dir(path).expect("the kernel tells of a process").count();
        let pages: Vec<usize> =
            read("/proc/self/statm").split_whitespace().map(|word| word.parse().expect("a number of pages")).collect();
        // SAFETY: asks for a constant of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        Self {
            address_space: pages[0] * page,
            resident: pages[1] * page,
            mappings: read("/proc/self/maps").lines().count(),
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
        }
    }
}

/// Lets this process have only so many bytes of address space more than it has now.
pub(crate) fn forbid_address_space_beyond(more: usize) {
    set_address_space_limit((Footprint::now().address_space + more) as libc::rlim_t);
}

/// Lifts the limit of address space.
pub(crate) fn allow_address_space() {
    set_address_space_limit(libc::RLIM_INFINITY);
}

fn set_address_space_limit(bytes: libc::rlim_t) {
    // SAFETY: both calls are given a structure that lives meanwhile.
    let outcome = unsafe {
        let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &raw mut limits), 0);
        limits.rlim_cur = bytes.min(limits.rlim_max);
        libc::setrlimit(libc::RLIMIT_AS, &raw const limits)
    };
    assert_eq!(outcome, 0, "the soft limit may be anything up to the hard one");
}
