//! Where spans are: the lists of the classes, the free units, and the records that must agree with both.

use std::collections::HashSet;

use super::findings::FindingKind;
use super::{Check, metadata};
use crate::memory::class::Class;
use crate::memory::quarters::{quarter_of, slots_in, unit_of_span};
use crate::memory::{QUARTER_BYTES, SPAN_BYTES};

/// Checks the lists of all classes and the records of the spans in them; returns those spans.
///
/// A span may go from a list to a processor and back meanwhile, but only within its class, whose lists are read under their
/// lock: so none can be there twice.
pub(super) fn check_lists(check: &mut Check<'_>) -> Vec<usize> {
    let mut seen = HashSet::new();
    for class in check.core.memory.classes.all() {
        let listed = class.listed();
        for &unit in &listed.unswept {
            let address = check.core.memory.region.span_start(unit as usize).addr().get();
            let text = "The span is still listed as unswept after the sweep.".to_owned();
            check.find(FindingKind::SpanList, address, text);
        }
        for unit in listed.all() {
            let address = check.core.memory.region.span_start(unit).addr().get();
            if !seen.insert(unit) {
                let text = format!("The span is listed twice; this time by the class of {}.", (class.info().name)());
                check.find(FindingKind::SpanList, address, text);
            }
            check_record(check, unit, class);
        }
    }
    let mut seen: Vec<usize> = seen.into_iter().collect();
    seen.sort_unstable();
    seen
}

/// Checks the records of a span that belongs to `class`.
pub(super) fn check_record(check: &mut Check<'_>, unit: usize, class: &Class) {
    let region = &check.core.memory.region;
    let span = region.span(unit);
    let units = span.units();
    let mut wrong = Vec::new();
    if !span.info().is_some_and(|info| std::ptr::eq(info, class.info())) {
        wrong.push("it is not of the type of its class".to_owned());
    }
    let slot_bytes = if class.slot_bytes() == 0 { units * SPAN_BYTES } else { class.slot_bytes() };
    let is_quarter = quarter_of(unit).is_some();
    if is_quarter && !region.span(unit_of_span(unit)).is_split() {
        wrong.push("it is a quarter of a unit that is not split".to_owned());
    }
    if !is_quarter && span.is_split() {
        wrong.push("it is a unit that is split".to_owned());
    }
    let bytes = if is_quarter { QUARTER_BYTES } else { units * SPAN_BYTES };
    let has_wrong_units = if is_quarter { units != 0 } else { units == 0 || (class.slot_bytes() != 0 && units != 1) };
    if span.slot_bytes() != slot_bytes || has_wrong_units {
        wrong.push(format!("it has {units} units and slots of {}, its class {slot_bytes} bytes", span.slot_bytes()));
    } else if span.slots() != slots_in(unit, slot_bytes, bytes) {
        wrong.push(format!("it has {} slots of {slot_bytes} in {bytes} bytes", span.slots()));
    }
    if span.swept_cycle() != check.cycle {
        wrong.push(format!("it was last swept in cycle {}", span.swept_cycle()));
    }
    for back in 0..units {
        let each = region.span(unit + back);
        if each.back() != back || (back != 0 && each.units() != 0) {
            wrong.push(format!("unit {back} says that it is unit {} of {}", each.back(), each.units()));
        }
    }
    if !wrong.is_empty() {
        let address = region.span_start(unit).addr().get();
        let text = format!("The record of a span of {} is wrong: {}.", (class.info().name)(), wrong.join("; "));
        check.find(FindingKind::SpanRecord, address, text);
    }
}

/// Checks what is free: the units, and the quarters of those that are split. Mutations that need a span wait meanwhile.
pub(super) fn check_free(check: &mut Check<'_>) {
    check_units(check);
    check_quarters(check);
}

/// Checks the free units: with each other, with the records, and that nothing is left in them.
fn check_units(check: &mut Check<'_>) {
    let memory = &check.core.memory;
    memory.with_free_spans(|free| {
        if let Err(problem) = free.check() {
            check.find(FindingKind::FreeUnits, 0, format!("The table of free units is wrong: {problem}."));
        }
        for unit in free.runs().flatten() {
            let span = memory.region.span(unit);
            if span.info().is_some()
                || span.units() != 0
                || span.back() != 0
                || span.slot_bytes() != 0
                || span.is_split()
            {
                let address = memory.region.unit_start(unit).addr().get();
                let text = "The unit is free, but its record is that of a span in use.".to_owned();
                check.find(FindingKind::FreeUnits, address, text);
            }
            metadata::check_free_unit(check, unit);
            if check.is_full() {
                return;
            }
        }
    });
}

/// Checks the free quarters of units that are split.
fn check_quarters(check: &mut Check<'_>) {
    let memory = &check.core.memory;
    memory.with_quarters(|quarters| {
        for span in quarters.free() {
            let record = memory.region.span(span);
            let is_closed = record.info().is_none() && record.slots() == 0 && record.slot_bytes() == 0;
            if !is_closed || !memory.region.span(unit_of_span(span)).is_split() {
                let address = memory.region.span_start(span).addr().get();
                let text = "The quarter is free, but its record or that of its unit says something else.".to_owned();
                check.find(FindingKind::FreeUnits, address, text);
            }
            metadata::check_free_quarter(check, span);
            if check.is_full() {
                return;
            }
        }
    });
}
