//! `linchpin stress` as a user runs it: short runs find nothing wrong, and say what they did.

mod support;

use std::path::Path;

use support::{linchpin, run};

/// Runs the stress with these arguments, expects that it finds nothing, and returns its report.
fn stress(arguments: &[&str]) -> String {
    let output = run(linchpin(Path::new(".")).arg("stress").args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", output.text());
    assert!(output.stdout.contains("mismatches 0"), "{}", output.text());
    // Injected panics are part of the run and print nothing.
    assert_eq!(output.stderr, "", "{}", output.text());
    output.stdout
}

#[test]
fn several_threads_find_nothing_wrong() {
    let report = stress(&["--seconds", "1.5", "--threads", "4", "--seed", "20"]);
    assert!(report.starts_with("stress: seed 20, 4 threads, 4 processors"), "{report}");
    for figure in [
        "operations",
        "cycles",
        "objects",
        "drops",
        "pins",
        "upgrades",
        "refused",
        "map entries found",
        "gone",
        "cleanups",
        "yields",
        "panics",
    ] {
        assert!(report.contains(figure), "{figure}: {report}");
    }
}

#[test]
fn one_thread_finds_nothing_wrong() {
    stress(&["--seconds", "0.5", "--threads", "1", "--seed", "21"]);
}

#[test]
fn more_threads_than_processors_find_nothing_wrong() {
    stress(&["--seconds", "1", "--threads", "6", "--processors", "1", "--seed", "22"]);
}

/// A figure of the last line, which is for programs.
fn figure(report: &str, name: &str) -> u64 {
    let line = report.lines().last().and_then(|line| line.strip_prefix("figures: ")).expect("the figures come last");
    let mut figures = line.split(' ').filter_map(|figure| figure.split_once('='));
    let (_, value) = figures.find(|(each, _)| *each == name).unwrap_or_else(|| panic!("{name} is not in {line}"));
    value.parse().expect("a figure is a number")
}

#[test]
fn a_paranoid_run_verifies_and_finds_nothing_wrong() {
    let report = stress(&["--paranoid", "--seconds", "2", "--threads", "3", "--seed", "23"]);
    assert!(report.contains("stress: LINCHPIN=verify=strict,poison,"), "{report}");
    let counted = [
        "cycles",
        "objects",
        "pins",
        "upgraded",
        "refused",
        "found",
        "gone",
        "cleanups",
        "yields",
        "comparisons",
        "verifications",
        "verified",
        "exact",
    ];
    for name in counted {
        assert!(figure(&report, name) > 0, "{name}: {report}");
    }
    assert_eq!(figure(&report, "mismatches"), 0);
}

#[test]
fn a_seed_is_made_and_printed_when_none_is_given() {
    let seed_of = |report: &str| {
        let seed = report.strip_prefix("stress: seed ").and_then(|rest| rest.split(',').next());
        seed.expect("the first line names the seed").parse::<u64>().expect("a seed is a number")
    };
    let reports = [(); 2].map(|()| stress(&["--seconds", "0.1", "--threads", "2"]));
    assert_ne!(seed_of(&reports[0]), seed_of(&reports[1]));
}

#[test]
fn absurd_arguments_are_refused_by_name() {
    for (option, value) in [
        ("--threads", "0"),
        ("--threads", "100000"),
        ("--processors", "0"),
        ("--seconds", "0"),
        ("--seconds", "-1"),
        ("--seconds", "NaN"),
        ("--seed", "x"),
    ] {
        let argument = format!("{option}={value}");
        let output = run(linchpin(Path::new(".")).args(["stress", &argument]));
        assert_eq!(output.status.code(), Some(2), "{}", output.text());
        assert!(output.stderr.contains(option), "{}", output.text());
    }
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let output = run(linchpin(Path::new(".")).args(["stress", "--seconds", "0.1"]).env("LINCHPIN", "foo"));
    assert_eq!(output.status.code(), Some(1), "{}", output.text());
    assert!(output.stderr.contains("`foo`"), "{}", output.text());
    let settings = ["verify", "verify=strict", "poison", "collect_every", "delay_handshakes", "move_mutations", "seed"];
    for setting in settings {
        assert!(output.stderr.contains(setting), "{setting}: {}", output.text());
    }
}
