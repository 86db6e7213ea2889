//! Mark bytes, pin counters and pin flags, when everything is swept.
//!
//! A pin counter is read before the mark byte and the flag that it must agree with: both were written before it rose, and
//! neither is lowered while nothing is swept.

use super::Check;
use super::findings::FindingKind;
use crate::memory::quarters::{bytes_in_unit, quarter_of, unit_of_span};
use crate::memory::{GRANULE, PIN_FLAG_CLEAR, PIN_FLAG_RAISED, QUARTER_BYTES, SPAN_BYTES};
use crate::sync::Ordering;

/// Checks the metadata of spans in use.
pub(super) fn check_spans(check: &mut Check<'_>, spans: impl Iterator<Item = usize>) {
    for span in spans {
        let units = if quarter_of(span).is_some() { 1 } else { check.core.memory.region.span(span).units() };
        for each in span..span + units {
            check_unit(check, each, span);
        }
        if check.is_full() {
            return;
        }
    }
}

/// Checks the metadata of one unit of a span, or of a quarter, granule by granule.
fn check_unit(check: &mut Check<'_>, unit: usize, span: usize) {
    let region = &check.core.memory.region;
    let black = check.black();
    let slot_bytes = region.span(span).slot_bytes();
    let first_slot = region.first_slot(span, slot_bytes).addr().get();
    let slots_end = first_slot + region.span(span).slots() * slot_bytes;
    let start = region.span_start(unit).addr().get();
    let pin_flag = region.pin_flag(unit_of_span(unit));
    let mut pinned = None;
    for address in (start..start + bytes_in_unit(span)).step_by(GRANULE) {
        let counter = region.pin_counter(address);
        let touched = counter.is_touched();
        if touched && counter.is_pinned(&region.stripes) {
            pinned = Some(address);
        }
        // Relaxed: ordered after the counter by the acquire in `is_touched`.
        let mark = region.mark(address).load(Ordering::Relaxed);
        // Where one may begin in this granule: an odd one perhaps in the middle of it.
        let slot = first_slot + (address + GRANULE - 1).saturating_sub(first_slot) / slot_bytes * slot_bytes;
        let is_slot = (address..address + GRANULE).contains(&slot) && slot < slots_end;
        let address = if is_slot { slot } else { address };
        if mark != 0 && !is_slot {
            let text = format!("The mark byte is {mark}, but no object can start here (slots of {slot_bytes} bytes).");
            check.find(FindingKind::MarkByte, address, text);
        } else if mark != 0 && mark != black {
            let text = format!("The mark byte is {mark} after the sweep, when only 0 and {black} are left.");
            check.find(FindingKind::MarkByte, address, text);
        }
        if touched && (mark == 0 || !is_slot) {
            let text = format!(
                "The pin counter is {counter:?}, but {}; the next object here would begin with it.",
                if is_slot { "the slot is free" } else { "no object can start here" }
            );
            check.find(FindingKind::PinCounter, address, text);
        }
        check.objects += u64::from(mark != 0);
        // Relaxed: as for the mark byte. The flag is that of the unit, as everywhere.
        let flag = pin_flag.load(Ordering::Relaxed);
        if touched && flag == PIN_FLAG_CLEAR {
            let text =
                format!("The pin counter is {counter:?}, but no flag says that counters of the span were touched.");
            check.find(FindingKind::PinFlag, address, text);
        }
    }
    if let Some(address) = pinned {
        let flag = pin_flag.load(Ordering::Relaxed);
        if flag != PIN_FLAG_RAISED {
            let text = format!(
                "The object is pinned, but the flag of its span is {flag}, not raised: the next mark would overlook the pin."
            );
            check.find(FindingKind::PinFlag, address, text);
        }
    }
}

/// Checks that nothing is left in a unit that is free.
pub(super) fn check_free_unit(check: &mut Check<'_>, unit: usize) {
    let region = &check.core.memory.region;
    let start = region.unit_start(unit).addr().get();
    check_free_bytes(check, start, SPAN_BYTES, "unit");
    let flag = region.pin_flag(unit).load(Ordering::Relaxed);
    if flag != PIN_FLAG_CLEAR {
        check.find(FindingKind::PinFlag, start, format!("The pin flag is {flag}, but the unit is free."));
    }
}

/// Checks that nothing is left in a quarter that is free. (Its flag is that of its unit.)
pub(super) fn check_free_quarter(check: &mut Check<'_>, span: usize) {
    let start = check.core.memory.region.span_start(span).addr().get();
    check_free_bytes(check, start, QUARTER_BYTES, "quarter");
}

fn check_free_bytes(check: &mut Check<'_>, start: usize, bytes: usize, what: &str) {
    let region = &check.core.memory.region;
    for address in (start..start + bytes).step_by(GRANULE) {
        let mark = region.mark(address).load(Ordering::Relaxed);
        if mark != 0 {
            check.find(FindingKind::MarkByte, address, format!("The mark byte is {mark}, but the {what} is free."));
        }
        let counter = region.pin_counter(address);
        if counter.is_touched() {
            let text = format!("The pin counter is {counter:?}, but the {what} is free.");
            check.find(FindingKind::PinCounter, address, text);
        }
    }
}
