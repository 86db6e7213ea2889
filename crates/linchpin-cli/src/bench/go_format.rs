//! The text format of Go's benchmarks, written and read.
//!
//! A benchmark line is `BenchmarkName-CPUS`, the number of iterations, then pairs of a value and
//! its unit. Lines of other kinds (the header, `PASS`, a test's own output) are passed over.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::results::{Results, Sample};

/// What every benchmark line begins with.
const PREFIX: &str = "Benchmark";

/// The lines Go writes first: the platform, the package measured, the processor's name.
pub(crate) fn header() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        other => other,
    };
    let mut text = format!("goos: {os}\ngoarch: {architecture}\npkg: linchpin\n");
    if let Some(model) = processor_model() {
        text.push_str(&format!("cpu: {model}\n"));
    }
    text
}

/// The processor's name as Linux tells it.
fn processor_model() -> Option<String> {
    let information = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = information.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A benchmark's name as Go gives it: with the number of processors, unless that is one.
pub(crate) fn full_name(name: &str, processors: usize) -> String {
    if processors == 1 { name.to_owned() } else { format!("{name}-{processors}") }
}

/// One benchmark line, the name padded to `width` so that columns stand under each other.
pub(crate) fn line(name: &str, width: usize, sample: &Sample) -> String {
    let mut text =
        format!("{PREFIX}{name:width$}\t{:>12}\t{:>12} ns/op", sample.iterations, four_digits(sample.nanoseconds));
    if let Some(bytes) = sample.bytes {
        text.push_str(&format!("\t{bytes:>8} B/op"));
    }
    if let Some(allocations) = sample.allocations {
        text.push_str(&format!("\t{allocations:>8} allocs/op"));
    }
    text
}

/// A value with four significant digits, and whole from a thousand on.
fn four_digits(value: f64) -> String {
    let decimals = match value {
        value if value >= 999.95 => 0,
        value if value >= 99.995 => 1,
        value if value >= 9.9995 => 2,
        value if value >= 0.99995 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// Reads a benchmark line; `None` for any other line.
pub(crate) fn parse_line(line: &str) -> Option<(&str, Sample)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.strip_prefix(PREFIX)?;
    let iterations = words.next()?.parse().ok()?;
    let (mut nanoseconds, mut bytes, mut allocations) = (None, None, None);
    while let (Some(value), Some(unit)) = (words.next(), words.next()) {
        match unit {
            "ns/op" => nanoseconds = Some(value.parse().ok()?),
            "B/op" => bytes = Some(value.parse::<f64>().ok()? as u64),
            "allocs/op" => allocations = Some(value.parse::<f64>().ok()? as u64),
            // Throughput and metrics of a benchmark's own are no part of these tables.
            _ => {}
        }
    }
    Some((name, Sample { iterations, nanoseconds: nanoseconds?, bytes, allocations }))
}

/// Reads every benchmark line of `text`.
pub(crate) fn parse(text: &str) -> Results {
    let mut results = Results::default();
    for (name, sample) in text.lines().filter_map(parse_line) {
        results.push(name, sample);
    }
    results
}

/// Reads a file of benchmark lines; one without any is an error.
pub(crate) fn read_file(path: &Path) -> Result<Results> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let results = parse(&String::from_utf8_lossy(&bytes));
    if results.is_empty() {
        bail!(
            "{} has no benchmark lines (expected lines such as \
             `BenchmarkPinnerPinUnpin-2  1000  12.3 ns/op`)",
            path.display()
        );
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::{four_digits, full_name, line, parse, parse_line};
    use crate::bench::results::Sample;

    #[test]
    fn a_line_of_go_is_read() {
        let text = "BenchmarkPinnerPinUnpinBatch-2  \t   22437\t     46553 ns/op\t   20592 B/op\t       8 allocs/op";
        let (name, sample) = parse_line(text).unwrap();
        assert_eq!(name, "PinnerPinUnpinBatch-2");
        assert_eq!(
            sample,
            Sample { iterations: 22437, nanoseconds: 46553.0, bytes: Some(20592), allocations: Some(8) }
        );
    }

    #[test]
    fn other_units_and_other_lines_are_passed_over() {
        let (_, sample) = parse_line("BenchmarkCopy 100 2.5 ns/op 400.00 MB/s 7 things").unwrap();
        assert_eq!((sample.nanoseconds, sample.bytes, sample.allocations), (2.5, None, None));
        for other in
            ["goos: linux", "PASS", "", "Benchmark", "BenchmarkRunning", "ok runtime 3s", "BenchmarkX 5 7 B/op"]
        {
            assert!(parse_line(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sample = Sample { iterations: 1_000_000, nanoseconds: 3.652, bytes: Some(0), allocations: Some(0) };
        let name = full_name("PinnerPinUnpin", 2);
        let text = format!("goos: linux\n{}\n{}\nPASS\n", line(&name, 30, &sample), line(&name, 30, &sample));
        let results = parse(&text);
        assert_eq!(results.names().collect::<Vec<_>>(), ["PinnerPinUnpin-2"]);
        assert_eq!(results.get(&name).unwrap(), [sample.clone(), sample]);
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(full_name("X", 1), "X");
        assert_eq!(full_name("X", 16), "X-16");
        assert_eq!(four_digits(0.8712), "0.8712");
        assert_eq!(four_digits(44.876), "44.88");
        assert_eq!(four_digits(131.97), "132.0");
        assert_eq!(four_digits(57515.4), "57515");
    }
}
