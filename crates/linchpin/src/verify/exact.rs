//! `Heap::verify`: everything, with nothing moving.
//!
//! The collector is kept from beginning a cycle, and every processor is held: then no mutation runs, nobody allocates, pins,
//! makes roots or drops them, and every figure must add up.
//!
//! Holding all processors is the one thing in the crate that waits for mutations, and mutations may be waiting for each
//! other, or for a processor. So what is held is given back when the rest does not come free in time, and it begins again.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use super::findings::{FindingKind, VerifyFinding};
use super::{Check, metadata, poison, retrace, spans};
use crate::heap::{Core, Heap};
use crate::memory::quarters::{Quarters, quarter_of, unit_of_span};
use crate::pin::inner::Inner;
use crate::processor::phase::{Mode, Status};
use crate::processor::thread as this_thread;
use crate::processor::{Holding, Processor};
use crate::sync::{MutexGuard, Ordering, thread};

/// How long processors are held at first while others are waited for, and at most.
const FIRST_PATIENCE: Duration = Duration::from_millis(1);
const MOST_PATIENCE: Duration = Duration::from_millis(100);
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// What [`Heap::verify`] has looked at and found in order.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Objects.
    pub objects: u64,
    /// Pins of all objects together.
    pub pins: u64,
    /// Spans in use.
    pub spans: usize,
    /// Pointers that a type's `trace` seems to have forgotten
    /// ([`UnreportedPointer`](FindingKind::UnreportedPointer)), one for each type and offset; errors under
    /// [`Verify::Strict`](crate::Verify::Strict).
    pub suspicions: Vec<VerifyFinding>,
}

/// What [`Heap::verify`] has found.
#[derive(Debug, Clone)]
pub struct VerifyError {
    findings: Vec<VerifyFinding>,
}

impl VerifyError {
    /// What is wrong, the first thing first; not all of it, if there is much.
    #[must_use]
    pub fn findings(&self) -> &[VerifyFinding] {
        &self.findings
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the heap is broken in {} places:", self.findings.len())?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n{finding}"))
    }
}

impl std::error::Error for VerifyError {}

impl Heap {
    /// Checks every invariant of the heap, for tests and for the search for errors.
    ///
    /// It waits until no mutation runs and no cycle, and keeps both from beginning meanwhile: the one operation that stops
    /// the others. What is wrong is returned; neither the hook of
    /// [`on_finding`](crate::HeapBuilder::on_finding) nor the default one is called.
    ///
    /// It may never come to an end where mutations wait for other threads' mutations (through a channel, a barrier, a thread that
    /// they join). So that they get on, it gives back what processors it holds when the rest does not come free in time, and
    /// begins again; a program in which some mutation is always waiting for another one's end, or for a processor to begin
    /// with, leaves it no instant at which it has them all. It holds up such a program, but stops it no more than for the
    /// time that it waits.
    ///
    /// ```
    /// # let heap = linchpin::Heap::new();
    /// let root = heap.mutate(|mu| mu.root(mu.alloc(1_u64)));
    /// assert_eq!(heap.verify().unwrap().objects, 1);
    /// # drop(root);
    /// ```
    ///
    /// # Errors
    /// If an invariant is broken. Then nothing the heap does can be relied on.
    ///
    /// # Panics
    /// Inside a mutation of this heap, or in a `Drop` that the collector runs, or in the hook of `on_finding`: it would wait
    /// for its own caller.
    pub fn verify(&self) -> Result<VerifyReport, VerifyError> {
        let core = self.core();
        assert!(
            this_thread::current_processor(core).is_none(),
            "linchpin: Heap::verify was called inside a mutation of the same heap, which it would have to wait for; call it \
             after `mutate` has returned"
        );
        assert!(
            !this_thread::is_collector_of(core.id),
            "linchpin: Heap::verify was called on the collector's thread, by a Drop or a hook; it would wait for itself"
        );
        let _no_cycle = core.relay.hold_off();
        let Held { processors, as_they_are } = hold_all(core);
        let outcome = check_all(core, &processors);
        // First: to give a processor back may be to retire it.
        drop(as_they_are);
        for holding in processors {
            // As a mutation would, since a thread may be waiting for it.
            core.processors.release(core, holding);
        }
        outcome
    }
}

/// Every processor that is in use, and the evidence that no other comes into use.
struct Held<'a> {
    processors: Vec<Holding<'a>>,
    as_they_are: MutexGuard<'a, ()>,
}

/// Holds every processor that is in use.
fn hold_all(core: &Core) -> Held<'_> {
    let mut patience = FIRST_PATIENCE;
    loop {
        if let Some(held) = try_hold_all(core, patience) {
            return held;
        }
        thread::sleep(patience);
        patience = (patience * 2).min(MOST_PATIENCE);
    }
}

fn try_hold_all(core: &Core, patience: Duration) -> Option<Held<'_>> {
    let mut held: Vec<Holding<'_>> = Vec::new();
    let is_missing = |held: &[Holding<'_>], processor: &Processor| {
        processor.state().status() != Status::Retired
            && !held.iter().any(|each| std::ptr::eq(each.processor(), processor))
    };
    let mut waited = Duration::ZERO;
    loop {
        // The spare is the last: it stands in for the others while they are held.
        for processor in core.processors.all() {
            while is_missing(&held, processor) {
                // As a mutation would take it, so that it is answered for as well.
                if let Some(holding) = processor.try_take(Status::Running) {
                    holding.answer_running(core, core.processors.phase());
                    held.push(holding);
                } else if waited < patience {
                    thread::sleep(LOOK_AGAIN);
                    waited += LOOK_AGAIN;
                } else {
                    held.into_iter().for_each(|holding| core.processors.release(core, holding));
                    return None;
                }
            }
        }
        // A resize may have made or revived some since: once more then. Else none does from here on: whoever resizes waits for
        // the check, and nobody whom the check waits for can be resizing, since all are held.
        let as_they_are = core.processors.keep_as_they_are();
        if !core.processors.all().any(|processor| is_missing(&held, processor)) {
            return Some(Held { processors: held, as_they_are });
        }
    }
}

/// Checks everything; the caller holds every processor and keeps cycles from beginning.
pub(super) fn check_all(core: &Core, held: &[Holding<'_>]) -> Result<VerifyReport, VerifyError> {
    let mut check = Check { quiet: true, ..Check::new(core) };
    for holding in held {
        debug_assert_eq!(holding.local().mode(), Mode::Off, "no cycle runs");
    }
    let mut all_spans = spans::check_lists(&mut check);
    check_runs(&mut check, held, &mut all_spans);
    metadata::check_spans(&mut check, all_spans.iter().copied());
    spans::check_free(&mut check);
    let objects = check.objects;
    check_figures(&mut check, held, &all_spans);
    let pins = check_pins(&mut check, &all_spans);
    for &unit in &all_spans {
        poison::check_free_slots(&mut check, unit);
    }
    // Objects are traced only if what is known of them can be relied on.
    if check.found.is_empty() {
        retrace::run(&mut check, retrace::Objects::All(&all_spans));
    }
    check.objects = objects;
    check.count();
    let strict = core.debug.findings.is_strict();
    let is_error = |finding: &VerifyFinding| strict || finding.kind() != FindingKind::UnreportedPointer;
    let (findings, suspicions): (Vec<_>, Vec<_>) = check.found.into_iter().partition(is_error);
    if findings.is_empty() {
        return Ok(VerifyReport { objects, pins, spans: all_spans.len(), suspicions });
    }
    Err(VerifyError { findings })
}

/// Checks the runs that processors hold, and adds their spans.
fn check_runs(check: &mut Check<'_>, held: &[Holding<'_>], all_spans: &mut Vec<usize>) {
    let region = &check.core.memory.region;
    let mut seen: HashSet<usize> = all_spans.iter().copied().collect();
    for holding in held {
        for run in holding.local().runs.held() {
            let slot_bytes = run.class.slot_bytes();
            let address = region.first_slot(run.unit, slot_bytes).addr().get();
            if !seen.insert(run.unit) {
                let index = holding.processor().index();
                let text = format!("Processor {index} has a run in this span, which is in a list or another's, too.");
                check.find(FindingKind::Run, address, text);
                continue;
            }
            all_spans.push(run.unit);
            spans::check_record(check, run.unit, run.class);
            let end = address + region.span(run.unit).slots() * slot_bytes;
            let fits = address <= run.cursor
                && run.cursor <= run.end
                && run.end <= end
                && (run.cursor - address).is_multiple_of(slot_bytes)
                && (run.end - run.cursor).is_multiple_of(slot_bytes);
            if !fits {
                let text = format!("A run from {:#x} to {:#x} does not fit its span's slots.", run.cursor, run.end);
                check.find(FindingKind::Run, address, text);
                continue;
            }
            for slot in (run.cursor..run.end).step_by(slot_bytes) {
                if region.mark(slot).load(Ordering::Relaxed) != 0 {
                    check.find(FindingKind::Run, slot, "This object's slot is part of a run of free slots.".to_owned());
                }
            }
        }
    }
}

/// Checks that what was allocated is alive or freed, and that every unit is accounted for.
fn check_figures(check: &mut Check<'_>, held: &[Holding<'_>], all_spans: &[usize]) {
    let core = check.core;
    // Retired processors have published theirs.
    let mut allocated = 0;
    for processor in core.processors.all() {
        let holding = held.iter().find(|holding| std::ptr::eq(holding.processor(), processor));
        let of_processor = match holding {
            Some(holding) => processor.publish_allocated(holding.local()),
            None => processor.published_allocated(),
        };
        allocated += of_processor.objects;
    }
    let freed = core.memory.swept.freed_objects.load(Ordering::Relaxed);
    let live = check.objects;
    if allocated != live + freed {
        let text = format!("{allocated} objects were allocated, {freed} freed, and {live} are there.");
        check.find(FindingKind::Figures, 0, text);
    }
    let whole: usize = all_spans.iter().map(|&span| core.memory.region.span(span).units()).sum();
    let split: HashSet<usize> =
        all_spans.iter().filter(|&&span| quarter_of(span).is_some()).map(|&span| unit_of_span(span)).collect();
    let units = whole + split.len();
    let said = core.memory.with_quarters(Quarters::units);
    let in_use = core.memory.units_in_use();
    if units != in_use {
        let text = format!("Lists and processors have {units} units of spans; {in_use} are in use.");
        check.find(FindingKind::SpanList, 0, text);
    } else if split.len() != said {
        let text = format!("{} units have quarters that are in use; {said} are said to be split.", split.len());
        check.find(FindingKind::SpanList, 0, text);
    }
}

/// Checks the counters against the pins that inner pinners record; returns how many those are.
fn check_pins(check: &mut Check<'_>, all_spans: &[usize]) -> u64 {
    let core = check.core;
    let region = &core.memory.region;
    let mut recorded: HashMap<usize, u32> = HashMap::new();
    core.pinners.for_each(|inner| {
        // SAFETY: what is registered is alive, and with all processors held nobody pins or unpins.
        for counter in unsafe { Inner::counters(inner) } {
            // SAFETY: what is recorded is pinned, in this heap.
            let object = unsafe { region.object_of_counter(counter) };
            *recorded.entry(object.addr().get()).or_default() += 1;
        }
    });
    let pins = recorded.values().map(|&count| u64::from(count)).sum();
    let mut striped = 0;
    for address in all_spans.iter().flat_map(|&unit| region.slots(unit)) {
        let counter = region.pin_counter(address);
        if counter.is_striped() {
            striped += 1;
            if !region.stripes.has_place(counter) {
                let text = "Its pins are counted in stripes, but another object has these.".to_owned();
                check.find(FindingKind::PinCounter, address, text);
            }
        }
        let count = region.pin_count(address);
        let expected = recorded.remove(&address).unwrap_or(0);
        if count != expected {
            let text = format!("Its counter says {count} pins, but pinners have recorded {expected}.");
            check.find(FindingKind::PinCounter, address, text);
        }
    }
    let (taken, left_over) = region.stripes.taken_and_left_over();
    if taken != striped || left_over != 0 {
        let text = format!(
            "{striped} objects have their pins counted in stripes, but {taken} places for that are taken, and {left_over} stripes that nobody has count pins."
        );
        check.find(FindingKind::PinCounter, 0, text);
    }
    for (address, count) in recorded {
        let text = format!("Pinners have recorded {count} pins here, where no object can start.");
        check.find(FindingKind::PinCounter, address, text);
    }
    pins
}
