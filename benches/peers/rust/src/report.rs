//! The line of JSON.

use std::time::Duration;

use crate::{Args, Histogram};

/// What a program exits with that cannot express a workload.
const EXIT_CANNOT_EXPRESS: i32 = 4;

/// What the process has used.
pub struct Usage {
    processor_seconds: f64,
    peak_megabytes: f64,
}

impl Usage {
    /// What it has used so far.
    pub fn now() -> Usage {
        // SAFETY: a zeroed rusage is one, the call writes to it and to nothing else.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            if libc::getrusage(libc::RUSAGE_SELF, &mut usage) != 0 {
                fail("the system does not tell what was used");
            }
            usage
        };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        // The peak that getrusage tells includes that of the program which started this one.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes: Option<f64> = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
        Usage {
            processor_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_megabytes: kibibytes.unwrap_or_else(|| fail("the system does not tell how much memory was used"))
                / 1024.0,
        }
    }
}

/// What came of a workload.
pub struct Outcome {
    /// The time it took.
    pub wall: Duration,
    /// What the process had used when the timed part ended.
    pub usage: Usage,
    /// How many operations all threads did.
    pub ops: u64,
    /// The latencies, if the workload has any.
    pub latencies: Option<Histogram>,
    /// The sum that all programs agree on.
    pub check: u64,
}

impl Outcome {
    /// Prints it and ends the process, without letting go of anything.
    pub fn emit(&self, args: &Args) -> ! {
        let latency = |of: &dyn Fn(&Histogram) -> f64| {
            self.latencies.as_ref().map_or_else(|| "null".to_owned(), |latencies| format!("{:.3}", of(latencies)))
        };
        let wall = self.wall.as_secs_f64();
        println!(
            "{{\"w\":\"{}\",\"threads\":{},\"wall_s\":{wall:.6},\"cpu_s\":{:.6},\"ops\":{},\"ns_op\":{:.3},\
             \"rss_mb\":{:.1},\"cycles\":null,\"p50\":{},\"p99\":{},\"p999\":{},\"p9999\":{},\"max\":{},\
             \"wait_max_us\":null,\"check\":{}}}",
            args.workload,
            args.threads,
            self.usage.processor_seconds,
            self.ops,
            wall * 1e9 / self.ops as f64,
            self.usage.peak_megabytes,
            latency(&|latencies| latencies.quantile(0.5)),
            latency(&|latencies| latencies.quantile(0.99)),
            latency(&|latencies| latencies.quantile(0.999)),
            latency(&|latencies| latencies.quantile(0.9999)),
            latency(&Histogram::maximum),
            self.check & ((1 << 53) - 1),
        );
        std::process::exit(0)
    }
}

/// Ends the process: something is wrong.
pub fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1)
}

/// Ends the process: this workload is not for this peer, and why.
pub fn cannot_express(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(EXIT_CANNOT_EXPRESS)
}
