//! What a report says, and what it is made of.

use std::time::{Duration, Instant};

use super::report::{CycleCause, CycleReport, Longest, Stopwatch};
use crate::Heap;

/// Waits until the clock has moved on.
fn tick(since: Instant) {
    while since.elapsed().is_zero() {}
}

#[test]
fn a_report_is_displayed_in_milliseconds_and_megabytes() {
    let mut report = CycleReport {
        cycle: 7,
        cause: CycleCause::Growth,
        began: Duration::from_millis(12_345),
        snapshot: Duration::from_micros(20),
        mark: Duration::from_micros(3450),
        close: Duration::from_micros(110),
        switch_off: Duration::from_micros(40),
        sweep: Duration::from_micros(2000),
        size_at_start: 20 << 20,
        size_at_end: 49 << 19,
        goal: 30 << 20,
        live: 10 << 20,
        traced_bytes: 9 << 20,
        assisted_bytes: 3 << 19,
        markers: 2,
    };
    assert_eq!(
        report.to_string(),
        "cycle 7 (growth) at 12.345 s: 0.02+3.45+0.11+0.04+2.00 ms (snapshot, mark, close, off, sweep), \
         20.0->24.5->10.0 MB (start, end of mark, live), goal 30.0 MB, traced 9.0 MB, 1.5 of them by assists, 2 markers"
    );
    report.cause = CycleCause::End;
    report.markers = 1;
    let line = report.to_string();
    assert!(line.starts_with("cycle 7 (end) ") && line.ends_with(" 1 marker"), "{line}");
}

/// Each part is as long as it took, also in two pieces; what was assisted before the cycle is not its own.
#[test]
fn a_stopwatch_takes_the_parts_of_a_cycle() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    // As if seven megabytes lived.
    core.pace.begin_mark();
    core.pace.note_births();
    core.pace.end_mark();
    core.pace.end_sweep(7 << 20, 0, 0);
    core.pace.assisted(1000);
    let begun = Instant::now();
    let mut stopwatch = Stopwatch::start(core, 1, CycleCause::Growth);
    stopwatch.report.cause = CycleCause::Asked;
    for _ in 0..2 {
        tick(Instant::now());
        stopwatch.lap(|report| &mut report.mark);
        tick(Instant::now());
        stopwatch.lap(|report| &mut report.sweep);
    }
    core.pace.assisted(30);
    core.pace.allocated(5 << 20);
    stopwatch.end_mark(core);
    core.pace.allocated(1 << 20);
    let all = begun.elapsed();
    stopwatch.report.markers = 3;
    stopwatch.stop(core);
    let report = core.reports.last().expect("it was stopped");
    assert_eq!((report.cycle, report.cause, report.markers), (1, CycleCause::Asked, 3));
    assert!(report.mark > Duration::ZERO && report.sweep > Duration::ZERO, "{report:?}");
    assert!(report.mark + report.sweep <= all, "{report:?}, {all:?}");
    assert_eq!(report.snapshot + report.close + report.switch_off, Duration::ZERO);
    assert_eq!((report.assisted_bytes, report.traced_bytes), (30, 1030));
    assert_eq!((report.size_at_start, report.size_at_end, report.live), (7 << 20, 12 << 20, 7 << 20));
}

#[test]
fn the_longest_is_kept() {
    let longest = Longest::default();
    assert_eq!(longest.get(), Duration::ZERO);
    let long_ago = Instant::now();
    tick(long_ago);
    let at_least = long_ago.elapsed();
    longest.note(long_ago);
    let noted = longest.get();
    assert!((at_least..=long_ago.elapsed()).contains(&noted), "{noted:?}");
    longest.note(Instant::now());
    assert!(longest.get() >= noted, "a shorter one changes nothing");
}
