//! The workloads of `linchpin bench` as a user runs them: tiny ones agree with themselves, print what they promise, and refuse
//! what makes no sense.

mod support;

use std::path::Path;

use support::{linchpin, run};

/// A tiny form of each workload: its arguments, whether it has latencies, and its check on one and on two
/// threads, as another program has computed it from `CHECKS.md`.
const TINY: [(&[&str], bool, [u64; 2]); 9] = [
    (&["trees", "--depth", "6"], false, [4_398, 4_398]),
    (&["gcbench", "--depth", "4", "--array", "100"], false, [527, 527]),
    (&["alloc", "--n", "70001"], false, [2_440_069_120, 4_880_138_240]),
    (&["churn", "--nodes", "1000", "--steps", "4950"], true, [4_454_212_198_973_296, 499_500]),
    (&["cache", "--slots", "300", "--steps", "501"], true, [36_780_032, 25_274_368]),
    (&["hiccup", "--steps", "3"], true, [4_306_762_326_465_538, 8_831_086_529_825_823]),
    (&["types", "--n", "210000"], false, [21_999_900_000, 43_999_800_000]),
    (&["array", "--slots", "1000", "--n", "1501"], true, [2_099_500, 2_349_500]),
    (&["list", "--nodes", "30000", "--collections", "2"], true, [449_985_000, 899_970_000]),
];

const KEYS: [&str; 15] = [
    "w",
    "threads",
    "wall_s",
    "cpu_s",
    "ops",
    "ns_op",
    "rss_mb",
    "cycles",
    "p50",
    "p99",
    "p999",
    "p9999",
    "max",
    "wait_max_us",
    "check",
];

/// Runs a workload, expects that it succeeds, and returns what it printed.
fn bench(arguments: &[&str]) -> String {
    let output = run(linchpin(Path::new(".")).arg("bench").args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", output.text());
    assert_eq!(output.stderr, "", "{arguments:?}");
    output.stdout
}

/// The keys and values of a line of JSON without any nesting, in order.
fn pairs(line: &str) -> Vec<(String, String)> {
    let inner = line.strip_prefix('{').and_then(|rest| rest.strip_suffix("}\n")).expect("one line, one object");
    let pairs = inner.split(',').map(|pair| pair.split_once(':').expect("a key and a value"));
    pairs.map(|(key, value)| (key.trim_matches('"').to_owned(), value.to_owned())).collect()
}

#[test]
fn each_workload_prints_its_line_and_comes_to_its_check() {
    for (arguments, has_latencies, checks) in TINY {
        for (threads, check) in ["1", "2"].into_iter().zip(checks) {
            let line = bench(&[arguments, &["--json", "--threads", threads]].concat());
            let pairs = pairs(&line);
            assert_eq!(pairs.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), KEYS, "{line}");
            let value = |name: &str| &pairs.iter().find(|(key, _)| key == name).expect("all keys are there").1;
            assert_eq!(value("w"), &format!("\"{}\"", arguments[0]), "{line}");
            assert_eq!(value("threads"), threads, "{line}");
            assert_eq!(value("check"), &check.to_string(), "{line}");
            for name in ["p50", "p99", "p999", "p9999", "max"] {
                assert_eq!(value(name) != "null", has_latencies, "{line}");
            }
        }
    }
}

#[test]
fn operations_are_those_of_all_threads() {
    let operations = |arguments: &[&str]| {
        let pairs = pairs(&bench(&[arguments, &["--json", "--threads", "3"]].concat()));
        pairs.into_iter().find(|(key, _)| key == "ops").expect("the operations are told").1
    };
    assert_eq!(operations(&["alloc", "--n", "1001"]), "3003");
    // A unit is a hundred steps.
    assert_eq!(operations(&["churn", "--nodes", "1000", "--steps", "101"]), "600");
    assert_eq!(operations(&["cache", "--slots", "10", "--steps", "101"]), "303");
    assert_eq!(operations(&["array", "--slots", "10", "--n", "101"]), "600");
    assert_eq!(operations(&["list", "--nodes", "10", "--collections", "2"]), "60");
}

#[test]
fn without_json_there_are_sentences() {
    let text = bench(&["churn", "--nodes", "1000", "--secs", "0.01", "--growth-percent", "200", "--processors", "3"]);
    assert!(text.starts_with("churn on 1 thread: ") && text.contains("ns a step"), "{text}");
    assert!(text.contains("latency in microseconds: p50 ") && text.contains("p99.99 "), "{text}");
    let text = bench(&["alloc", "--n", "1000", "--threads", "2"]);
    assert!(text.starts_with("alloc on 2 threads: ") && !text.contains("latency"), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for (arguments, named) in [
        (&["churn", "--threads", "0"][..], "--threads"),
        (&["cache", "--secs", "0"], "--secs"),
        (&["hiccup", "--secs", "NaN"], "--secs"),
        (&["hiccup", "--steps", "0"], "--steps"),
        (&["pinner", "--bench-time", "0x"], "--bench-time"),
        (&["churn", "--secs", "1", "--steps", "1"], "'--steps"),
        (&["alloc", "--n", "0"], "--n"),
        (&["trees", "--growth-percent", "0"], "--growth-percent"),
        (&["gcbench", "--processors", "0"], "--processors"),
        (&["trees", "--with-go", "--json"], "'--json'"),
        (&["trees", "--with-go", "--growth-percent", "50"], "'--growth-percent"),
        // There is no heap.
        (&["hiccup", "--growth-percent", "50"], "--growth-percent"),
        // Always a fixed amount of work.
        (&["alloc", "--secs", "1"], "--secs"),
    ] {
        let output = run(linchpin(Path::new(".")).arg("bench").args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", output.text());
        assert!(output.stderr.contains(named), "{arguments:?}: {}", output.text());
    }
    for (workload, option) in [("churn", "--nodes"), ("cache", "--slots"), ("array", "--slots")] {
        let output = run(linchpin(Path::new(".")).args(["bench", workload, option, "2", "--threads", "3"]));
        assert_eq!(output.status.code(), Some(1), "{workload}: {}", output.text());
        assert!(output.stderr.contains(&format!("{option} 2")), "{workload}: {}", output.text());
    }
}

/// The row that Go's runtime has not, on one processor and on two, in Go's own format.
#[test]
fn all_threads_pin_one_object() {
    let arguments =
        ["--format", "go", "--filter", "PinUnpinShared", "--cpu", "1,2", "--count", "1", "--bench-time", "10000x"];
    let text = bench(&[&["pinner"][..], &arguments].concat());
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("Benchmark")?.split_whitespace().next()).collect();
    assert_eq!(names, ["PinnerPinUnpinShared", "PinnerPinUnpinShared-2"], "{text}");
    // Of so many operations, what it takes to begin is none.
    assert_eq!(text.matches("       10000").count(), 2, "{text}");
    assert_eq!(text.matches(" 0 allocs/op").count(), 2, "{text}");
}
