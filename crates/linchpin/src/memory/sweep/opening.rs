//! Spans come out of free units, and of free quarters of units, and go back when they are empty.

use super::Memory;
use crate::memory::class::Class;
use crate::memory::quarters::{quarter_of, slots_in};
use crate::memory::{PIN_FLAG_CLEAR, QUARTER_BYTES, SPAN_BYTES};
use crate::sync::{Backoff, Ordering};

impl Memory {
    /// A fresh span for a class of small objects; `None` if the region has none.
    pub(super) fn open_small(&self, class: &Class) -> Option<usize> {
        let span = if class.wants_quarter(|| self.units_in_use()) {
            self.take_free_quarter().or_else(|| self.split_unit()).map(|span| self.open_quarter(span, class))
        } else {
            let whole = self.open_span(class, 1);
            if whole.is_none() && class.fits_quarter() {
                // Where no unit is free there may still be a quarter.
                self.take_free_quarter().map(|span| self.open_quarter(span, class))
            } else {
                whole
            }
        }?;
        class.note_opened(span);
        Some(span)
    }

    /// Makes a quarter that was just taken a span of the class.
    fn open_quarter(&self, span: usize, class: &Class) -> usize {
        let slot_bytes = class.slot_bytes();
        let slots = slots_in(span, slot_bytes, QUARTER_BYTES);
        self.region.span(span).open(class, slot_bytes, slots, 0, self.marked_cycle());
        span
    }

    fn take_free_quarter(&self) -> Option<usize> {
        let span = self.quarters.lock().take()?;
        // SAFETY: it is free, and was just taken; it was filled when its unit was split, and its slots each time they were swept.
        unsafe { self.check_poison(self.region.span_start(span), QUARTER_BYTES) };
        Some(span)
    }

    /// Splits a free unit, and takes its first quarter; `None` if the region is full.
    fn split_unit(&self) -> Option<usize> {
        let unit = self.take_units(1)?;
        // SAFETY: it was taken above.
        unsafe { self.poison_units(unit, 1) };
        self.region.span(unit).split();
        // Whoever gets another quarter of it gets it by this lock, and so finds the unit split.
        Some(self.quarters.lock().take_of(unit))
    }

    /// A span of `units` fresh units for `class`; `None` if the region has no such run.
    pub(super) fn open_span(&self, class: &Class, units: usize) -> Option<usize> {
        let start = self.take_units(units)?;
        for back in 1..units {
            self.region.span(start + back).continue_span(back);
        }
        let slot_bytes = if class.slot_bytes() == 0 { units * SPAN_BYTES } else { class.slot_bytes() };
        let slots = slots_in(start, slot_bytes, units * SPAN_BYTES);
        self.region.span(start).open(class, slot_bytes, slots, units, self.marked_cycle());
        // SAFETY: the units were taken above.
        unsafe { self.poison_units(start, units) };
        Some(start)
    }

    /// Takes so many adjacent free units.
    pub(super) fn take_units(&self, units: usize) -> Option<usize> {
        let backoff = Backoff::new();
        loop {
            {
                let mut free = self.free.lock();
                let taken = free.take(units);
                if taken.is_some() || !free.is_returning() {
                    return taken;
                }
            }
            // Some that are free are in the hands of who returns their pages, for some microseconds.
            backoff.snooze();
        }
    }

    /// Gives back what an empty span has taken up.
    pub(super) fn close_span(&self, span: usize, class: &Class) {
        class.note_closed(span);
        if quarter_of(span).is_none() {
            return self.close_units(span);
        }
        self.region.span(span).close();
        let whole = self.quarters.lock().give_back(span);
        if let Some(unit) = whole {
            // Relaxed: as where the flag of a whole span is lowered. Nothing is in the unit, so nobody pins there.
            self.region.pin_flag(unit).store(PIN_FLAG_CLEAR, Ordering::Relaxed);
            self.close_units(unit);
        }
    }

    /// Gives the units of an empty span back.
    fn close_units(&self, unit: usize) {
        let units = self.region.span(unit).units();
        for each in unit..unit + units {
            self.region.span(each).close();
        }
        self.free.lock().give_back(unit, units);
    }
}
