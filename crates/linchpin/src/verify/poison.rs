//! Poison: a pattern in free memory, so that who reads it notices, and who writes it is noticed.
//!
//! A unit is filled when it comes into use, a slot again when its object was swept, after its value was dropped. So every free
//! slot holds the pattern, whatever the unit was used for before, and is checked when it is handed out. A unit that was never
//! in use, or whose pages were returned to the system since, holds zeros; one that was, or whose pages were asked for in advance, the pattern all over.

use std::ops::Range;
use std::ptr::NonNull;

use super::findings::{FindingKind, VerifyFinding};
use super::{Check, Debugging};
use crate::memory::SPAN_BYTES;
use crate::memory::sweep::Memory;
use crate::sync::{Arc, Ordering};

/// No address, no likely number, an odd one.
const PATTERN: usize = usize::MAX / 255 * 0xA5;
const WORD: usize = size_of::<usize>();

/// The poison of a heap that asked for it.
pub(crate) struct Poison {
    pub(crate) debug: Arc<Debugging>,
    pub(crate) heap: u64,
}

/// # Safety
/// The bytes, a multiple of a word, belong to the caller.
unsafe fn fill(start: NonNull<u8>, bytes: usize) {
    for index in 0..bytes / WORD {
        // SAFETY: the caller's promise.
        unsafe { start.cast::<usize>().add(index).write(PATTERN) };
    }
}

/// The first word that is not `expected`: its offset and what it holds.
///
/// # Safety
/// The bytes, a multiple of a word, are initialised and belong to the caller.
unsafe fn first_other(start: NonNull<u8>, bytes: usize, expected: usize) -> Option<(usize, usize)> {
    (0..bytes / WORD).find_map(|index| {
        // SAFETY: the caller's promise. Volatile, since somebody else writing here is what is looked for.
        let word = unsafe { start.cast::<usize>().add(index).read_volatile() };
        (word != expected).then_some((index * WORD, word))
    })
}

impl Memory {
    /// Fills a slot that has been swept, or a whole span.
    ///
    /// # Safety
    /// The caller owns the span, and the bytes are those of a slot that holds no value any more.
    pub(crate) unsafe fn poison_slot(&self, slot: NonNull<u8>, bytes: usize) {
        if self.poison.is_some() {
            // SAFETY: the caller's promise.
            unsafe { fill(slot, bytes) };
        }
    }

    /// Fills the dead slots of a span whose values need no drop.
    ///
    /// # Safety
    /// The caller owns the span and is about to free its dead.
    pub(crate) unsafe fn poison_dead(&self, unit: usize, dead: u8) {
        if self.poison.is_none() {
            return;
        }
        let slot_bytes = self.region.span(unit).slot_bytes();
        for address in self.region.slots(unit) {
            if self.region.mark(address).load(Ordering::Relaxed) == dead {
                // SAFETY: the caller's promise; the object is dead.
                unsafe { fill(self.region.pointer(address), slot_bytes) };
            }
        }
    }

    /// Checks and fills units that come into use.
    ///
    /// # Safety
    /// The caller has just taken the units.
    pub(crate) unsafe fn poison_units(&self, unit: usize, units: usize) {
        let Some(poison) = &self.poison else { return };
        for each in unit..unit + units {
            let start = self.region.unit_start(each);
            // SAFETY: the caller's promise; mapped memory holds zeros, and otherwise what was written before.
            unsafe {
                if let Some((offset, word)) = first_other(start, SPAN_BYTES, PATTERN)
                    && first_other(start, SPAN_BYTES, 0).is_some()
                {
                    poison.report(self, start, offset, word, "unit");
                }
                fill(start, SPAN_BYTES);
            }
        }
    }

    /// Checks free units that are about to be returned to the operating system; gives what it has found, to be reported.
    ///
    /// # Safety
    /// The units are free, resident, and belong to the caller.
    pub(crate) unsafe fn check_poison_of_units(&self, units: Range<usize>) -> Vec<VerifyFinding> {
        let Some(poison) = &self.poison else { return Vec::new() };
        let starts = units.map(|unit| self.region.unit_start(unit));
        let finding = |start| {
            // SAFETY: the caller's promise; what is free was filled.
            let (offset, word) = unsafe { first_other(start, SPAN_BYTES, PATTERN) }?;
            Some(poison.finding(self, start, offset, word, "unit"))
        };
        starts.filter_map(finding).collect()
    }

    /// Fills free units that the operating system has not taken, or not all of them.
    ///
    /// # Safety
    /// As for `check_poison_of_units`.
    pub(crate) unsafe fn poison_again(&self, units: Range<usize>) {
        for start in units.map(|unit| self.region.unit_start(unit)) {
            // SAFETY: the caller's promise.
            unsafe { self.poison_slot(start, SPAN_BYTES) };
        }
    }

    /// Reports what was found.
    pub(crate) fn report_all(&self, findings: &[VerifyFinding]) {
        if let Some(poison) = &self.poison {
            findings.iter().for_each(|finding| poison.debug.findings.report(finding));
        }
    }

    /// Checks a slot that is handed out.
    ///
    /// # Safety
    /// The slot is free, of so many bytes, and the caller's.
    pub(crate) unsafe fn check_poison(&self, slot: NonNull<u8>, bytes: usize) {
        if let Some(poison) = &self.poison
            // SAFETY: the caller's promise; free slots were filled.
            && let Some((offset, word)) = unsafe { first_other(slot, bytes, PATTERN) }
        {
            poison.report(self, slot, offset, word, "slot");
        }
    }
}

impl Poison {
    #[cold]
    fn report(&self, memory: &Memory, start: NonNull<u8>, offset: usize, word: usize, what: &str) {
        self.debug.findings.report(&self.finding(memory, start, offset, word, what));
    }

    fn finding(&self, memory: &Memory, start: NonNull<u8>, offset: usize, word: usize, what: &str) -> VerifyFinding {
        let name = memory.region.span_of(start).info().map(|info| (info.name)());
        VerifyFinding::new(
            FindingKind::WriteAfterFree,
            self.heap,
            memory.marked_cycle(),
            start.addr().get(),
            name,
            text(offset, word, what),
        )
    }
}

fn text(offset: usize, word: usize, what: &str) -> String {
    format!(
        "At offset {offset} this free {what} holds {word:#x} instead of the poison {PATTERN:#x}: somebody wrote here after the\n\
         object was freed, be it foreign code with an address that is no longer pinned, or a reference kept too long."
    )
}

/// Checks every free slot of a span, when nothing allocates.
pub(super) fn check_free_slots(check: &mut Check<'_>, unit: usize) {
    let memory = &check.core.memory;
    if memory.poison.is_none() {
        return;
    }
    let slot_bytes = memory.region.span(unit).slot_bytes();
    for address in memory.region.slots(unit) {
        if memory.region.mark(address).load(Ordering::Relaxed) == 0
            // SAFETY: the slot is free and was filled; with every processor held nobody takes it meanwhile.
            && let Some((offset, word)) = unsafe { first_other(memory.region.pointer(address), slot_bytes, PATTERN) }
        {
            check.find(FindingKind::WriteAfterFree, address, text(offset, word, "slot"));
        }
    }
}
