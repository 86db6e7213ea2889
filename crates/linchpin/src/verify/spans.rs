//! Where spans are: the lists of the classes, the free units, and the records that must agree with both.

use std::collections::HashSet;

use super::findings::FindingKind;
use super::{Check, metadata};
use crate::memory::SPAN_BYTES;
use crate::memory::class::Class;

/// Checks the lists of all classes and the records of the spans in them; returns those spans, by their first units.
///
/// A span may go from a list to a processor and back meanwhile, but only within its class, whose lists are read under their
/// lock: so none can be there twice.
pub(super) fn check_lists(check: &mut Check<'_>) -> Vec<usize> {
    let mut seen = HashSet::new();
    for class in check.core.memory.classes.all() {
        let listed = class.listed();
        for &unit in &listed.unswept {
            let address = check.core.memory.region.unit_start(unit as usize).addr().get();
            let text = "The span is still listed as unswept after the sweep.".to_owned();
            check.find(FindingKind::SpanList, address, text);
        }
        for unit in listed.all() {
            let address = check.core.memory.region.unit_start(unit).addr().get();
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
    if span.slot_bytes() != slot_bytes || units == 0 || (class.slot_bytes() != 0 && units != 1) {
        wrong.push(format!("it has {units} units and slots of {}, its class {slot_bytes} bytes", span.slot_bytes()));
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
        let address = region.unit_start(unit).addr().get();
        let text = format!("The record of a span of {} is wrong: {}.", (class.info().name)(), wrong.join("; "));
        check.find(FindingKind::SpanRecord, address, text);
    }
}

/// Checks the free units: with each other, with the records, and that nothing is left in them. Mutations that need a span
/// wait meanwhile.
pub(super) fn check_free(check: &mut Check<'_>) {
    let memory = &check.core.memory;
    memory.with_free_spans(|free| {
        if let Err(problem) = free.check() {
            check.find(FindingKind::FreeUnits, 0, format!("The table of free units is wrong: {problem}."));
        }
        for unit in free.runs().flatten() {
            let span = memory.region.span(unit);
            if span.info().is_some() || span.units() != 0 || span.back() != 0 || span.slot_bytes() != 0 {
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
