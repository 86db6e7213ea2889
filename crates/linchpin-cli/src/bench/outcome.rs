//! What a workload came to, as a line of JSON or as a sentence.

use std::time::Duration;

use anyhow::Result;
use linchpin::Heap;

use super::emit;
use super::latency::Histogram;

/// The percentiles that are told: keys of the JSON line, names in the sentence, parts of a million.
const PERCENTILES: [(&str, &str, u64); 4] =
    [("p50", "p50", 500_000), ("p99", "p99", 990_000), ("p999", "p99.9", 999_000), ("p9999", "p99.99", 999_900)];

/// What the timed part of a workload did.
pub(crate) struct Work {
    /// How long it took.
    pub(crate) wall: Duration,
    /// The operations of all threads.
    pub(crate) operations: u64,
    /// How long each unit took, where there are units.
    pub(crate) latency: Option<Histogram>,
}

/// What the process and its heap took for it.
pub(crate) struct Cost {
    processor_seconds: f64,
    resident_megabytes: Option<f64>,
    cycles: u64,
    longest_wait: Option<Duration>,
}

impl Cost {
    /// All so far; `None` for a workload without a heap.
    pub(crate) fn so_far(heap: Option<&Heap>) -> Cost {
        let (processor_seconds, resident_megabytes) = (processor_seconds(), peak_resident_megabytes());
        let stats = heap.map(Heap::stats);
        Cost {
            processor_seconds,
            resident_megabytes,
            cycles: stats.as_ref().map_or(0, |stats| stats.cycles),
            longest_wait: stats.as_ref().map(|stats| stats.longest_wait),
        }
    }
}

/// A workload that was run and verified.
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) workload: &'static str,
    /// What one operation is.
    pub(crate) operation: &'static str,
    /// On how many threads.
    pub(crate) threads: u32,
    /// What was done.
    pub(crate) work: Work,
    /// What it took.
    pub(crate) cost: Cost,
    /// The sum by which peers are seen to do the same; exact as a number of JSON.
    pub(crate) check: u64,
}

impl Outcome {
    /// Prints it.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        emit(&if json { self.json() } else { self.sentences() })
    }

    fn nanoseconds(&self) -> f64 {
        self.work.wall.as_secs_f64() * 1e9 / self.work.operations as f64
    }

    /// One line.
    fn json(&self) -> String {
        let Outcome { workload, threads, work, cost, check, .. } = self;
        let number = |value: Option<f64>| value.map_or("null".to_owned(), |value| format!("{value:.3}"));
        let micros = |time: Option<Duration>| number(time.map(microseconds));
        let mut line = format!(
            "{{\"w\":\"{workload}\",\"threads\":{threads},\"wall_s\":{:.4},\"cpu_s\":{},\"ops\":{},\"ns_op\":{:.3},\
             \"rss_mb\":{},\"cycles\":{}",
            work.wall.as_secs_f64(),
            number(Some(cost.processor_seconds)),
            work.operations,
            self.nanoseconds(),
            number(cost.resident_megabytes),
            cost.cycles,
        );
        let latency = work.latency.as_ref();
        for (key, _, per_million) in PERCENTILES {
            let time = latency.and_then(|latency| latency.percentile(per_million));
            line.push_str(&format!(",\"{key}\":{}", micros(time)));
        }
        let longest = micros(latency.and_then(Histogram::longest));
        let wait = micros(cost.longest_wait);
        line.push_str(&format!(",\"max\":{longest},\"wait_max_us\":{wait},\"check\":{check}}}\n"));
        line
    }

    /// The same for a reader; what is not known is left out.
    fn sentences(&self) -> String {
        let Outcome { workload, operation, threads, work, cost, check } = self;
        let number = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.2}"));
        let mut text = format!(
            "{workload} on {threads} thread{}: {:.3} s wall, {} s processor time, {:.2} ns {operation}, {} MB at most, \
             {} cycles, check {check} as it should be\n",
            if *threads == 1 { "" } else { "s" },
            work.wall.as_secs_f64(),
            number(Some(cost.processor_seconds)),
            self.nanoseconds(),
            number(cost.resident_megabytes),
            cost.cycles,
        );
        if let Some(latency) = &work.latency {
            let mut parts: Vec<String> = Vec::new();
            let percentiles = PERCENTILES.map(|(_, name, per_million)| (name, latency.percentile(per_million)));
            for (name, time) in percentiles.into_iter().chain([("max", latency.longest())]) {
                parts.extend(time.map(|time| format!("{name} {:.2}", microseconds(time))));
            }
            text.push_str(&format!("latency in microseconds: {}\n", parts.join(", ")));
        }
        if let Some(wait) = cost.longest_wait {
            text.push_str(&format!(
                "longest wait on behalf of the collector: {:.2} microseconds\n",
                microseconds(wait)
            ));
        }
        text
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// User and system time of the process so far.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to the place it is given, which is ours. (It cannot fail: each process has this clock.)
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory the process has had resident.
fn peak_resident_megabytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cost, Outcome, Work, processor_seconds};
    use crate::bench::latency::Histogram;

    fn outcome(latency: Option<Histogram>, longest_wait: Option<Duration>) -> Outcome {
        Outcome {
            workload: "churn",
            operation: "a step",
            threads: 2,
            work: Work { wall: Duration::from_millis(1500), operations: 3_000_000, latency },
            cost: Cost { processor_seconds: 2.5, resident_megabytes: None, cycles: 7, longest_wait },
            check: (1 << 53) - 1,
        }
    }

    #[test]
    fn the_line_has_all_keys_in_their_order() {
        let mut latency = Histogram::new();
        (1..=2_000).for_each(|time| latency.record(time));
        assert_eq!(
            outcome(Some(latency), Some(Duration::from_nanos(41_250))).json(),
            "{\"w\":\"churn\",\"threads\":2,\"wall_s\":1.5000,\"cpu_s\":2.500,\"ops\":3000000,\"ns_op\":500.000,\
             \"rss_mb\":null,\"cycles\":7,\"p50\":1.000,\"p99\":1.980,\"p999\":1.998,\"p9999\":2.000,\"max\":2.000,\
             \"wait_max_us\":41.250,\"check\":9007199254740991}\n"
        );
    }

    #[test]
    fn what_is_not_known_is_null_in_the_line_and_not_in_the_sentences() {
        let outcome = outcome(None, None);
        let tail = "\"p50\":null,\"p99\":null,\"p999\":null,\"p9999\":null,\"max\":null,\"wait_max_us\":null,\"check\":9007199254740991}\n";
        assert!(outcome.json().ends_with(tail), "{}", outcome.json());
        let text = outcome.sentences();
        assert!(text.contains("500.00 ns a step") && !text.contains("latency") && !text.contains("wait"), "{text}");
    }

    #[test]
    fn the_system_tells_the_time_used() {
        assert!(processor_seconds() > 0.0);
    }
}
