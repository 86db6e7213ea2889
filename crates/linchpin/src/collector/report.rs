//! What a cycle has done, and how long each part of it took.

use std::fmt;
use std::time::{Duration, Instant};

use crate::heap::Core;
use crate::panics::tell;
use crate::sync::{Mutex, Ordering, StaticAtomicU64};

/// Why a cycle has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CycleCause {
    /// The heap has grown, or the region is full, or a debug setting has asked for it.
    Growth,
    /// [`Heap::collect`](crate::Heap::collect) has asked for it.
    Asked,
    /// The heap has ended, or something was let go of since.
    End,
}

/// What a cycle has done; see [`HeapStats::last_cycle`](crate::HeapStats::last_cycle).
///
/// Sizes are in bytes, with what objects own outside the heap. With `LINCHPIN=gctrace=1` each cycle is printed when it has ended, as this
/// is displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CycleReport {
    /// The cycle's number, from 1 on.
    pub cycle: u64,
    /// Why it has run.
    pub cause: CycleCause,
    /// When it began, since the heap was made.
    pub began: Duration,
    /// The two handshakes until marking began: for the greatest part, the wait for mutations to end.
    pub snapshot: Duration,
    /// Marking.
    pub mark: Duration,
    /// The closing rounds, the decision, and weak pointers.
    pub close: Duration,
    /// The handshake after the mark.
    pub switch_off: Duration,
    /// The sweep.
    pub sweep: Duration,
    /// The heap when the cycle began.
    pub size_at_start: u64,
    /// The heap when the mark had ended.
    pub size_at_end: u64,
    /// The size by which the mark was to have ended.
    pub goal: u64,
    /// What was live when the mark began, as the sweep has found.
    pub live: u64,
    /// Bytes traced, as slots.
    pub traced_bytes: u64,
    /// Of these, by mutations that assisted.
    pub assisted_bytes: u64,
    /// The most threads that marked at a time: the collector's, its helpers, and those that mark while processors are idle.
    pub markers: usize,
}

impl fmt::Display for CycleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "cycle {} ({}) at {:.3} s: {:.2}+{:.2}+{:.2}+{:.2}+{:.2} ms (snapshot, mark, close, off, sweep), \
             {:.1}->{:.1}->{:.1} MB (start, end of mark, live), goal {:.1} MB, traced {:.1} MB, {:.1} of them by assists, \
             {} marker{}",
            self.cycle,
            match self.cause {
                CycleCause::Growth => "growth",
                CycleCause::Asked => "asked",
                CycleCause::End => "end",
            },
            self.began.as_secs_f64(),
            milliseconds(self.snapshot),
            milliseconds(self.mark),
            milliseconds(self.close),
            milliseconds(self.switch_off),
            milliseconds(self.sweep),
            megabytes(self.size_at_start),
            megabytes(self.size_at_end),
            megabytes(self.live),
            megabytes(self.goal),
            megabytes(self.traced_bytes),
            megabytes(self.assisted_bytes),
            self.markers,
            if self.markers == 1 { "" } else { "s" },
        )
    }
}

/// Takes the times of a cycle.
pub(crate) struct Stopwatch {
    pub(crate) report: CycleReport,
    since: Instant,
    assisted: u64,
}

impl Stopwatch {
    pub(crate) fn start(core: &Core, cycle: u64, cause: CycleCause) -> Self {
        let (size_at_start, goal) = core.pace.size_and_goal();
        let report = CycleReport {
            cycle,
            cause,
            began: core.reports.since.elapsed(),
            snapshot: Duration::ZERO,
            mark: Duration::ZERO,
            close: Duration::ZERO,
            switch_off: Duration::ZERO,
            sweep: Duration::ZERO,
            size_at_start,
            size_at_end: size_at_start,
            goal,
            live: 0,
            traced_bytes: 0,
            assisted_bytes: 0,
            markers: 0,
        };
        Self { report, since: Instant::now(), assisted: core.pace.assists() }
    }

    /// Ends a part of the cycle.
    pub(crate) fn lap(&mut self, part: impl FnOnce(&mut CycleReport) -> &mut Duration) {
        let now = Instant::now();
        *part(&mut self.report) += now - self.since;
        self.since = now;
    }

    /// The mark has ended.
    pub(crate) fn end_mark(&mut self, core: &Core) {
        self.report.size_at_end = core.pace.size_and_goal().0;
    }

    /// The cycle has ended.
    pub(crate) fn stop(self, core: &Core) {
        let report = CycleReport {
            live: core.pace.old(),
            traced_bytes: core.pace.traced(),
            assisted_bytes: core.pace.assists() - self.assisted,
            ..self.report
        };
        if core.config.debug.gctrace {
            tell(format_args!("heap {}: {report}", core.id));
        }
        *core.reports.last.lock() = Some(report);
    }
}

/// The reports of a heap.
pub(crate) struct Reports {
    /// When the heap was made.
    since: Instant,
    last: Mutex<Option<CycleReport>>,
}

impl Reports {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), last: Mutex::new(None) }
    }

    pub(crate) fn last(&self) -> Option<CycleReport> {
        self.last.lock().clone()
    }
}

/// The longest that something took. (One of the standard library's atomics under loom, too: time is not the same in each run.)
#[derive(Default)]
pub(crate) struct Longest(StaticAtomicU64);

impl Longest {
    /// Notes what began at `since`, and ends now.
    pub(crate) fn note(&self, since: Instant) {
        let nanoseconds = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: a figure. Mostly it is not the longest, and then nothing is written.
        if nanoseconds > self.0.load(Ordering::Relaxed) {
            self.0.fetch_max(nanoseconds, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}
