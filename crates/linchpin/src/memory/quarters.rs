//! Quarters: spans of 16 KiB, for types that have a small part of the heap.
//!
//! A type has spans of its own, and each processor one of these at hand, so that with spans of a whole unit two hundred types
//! keep some dozen megabytes from one another, of which they use little. So a class that has a small part of what is in use has quarters of units
//! ([`Class::wants_quarter`](super::class::Class::wants_quarter)). A unit is *split* then: its record says so, and each
//! of its quarters has a record of its own. When all four are free it is whole again, and free.
//!
//! Quarters of one unit belong to any classes, and have one pin flag. Who has one knows nothing of the other three.

use std::collections::BTreeSet;
use std::ops::Range;

use super::size_class::is_odd;
use super::{FIRST_QUARTER, QUARTER_BYTES, SPAN_BYTES};

/// Quarters a unit has.
pub(crate) const QUARTERS: usize = 4;
/// A class has quarters until it has so many, or whole units in their place: 2 MiB.
pub(super) const MOST_QUARTERS: usize = 128;
/// And only while it has less than this part of the units in use, or of so many.
pub(super) const SMALL_SHARE: usize = 32;
pub(super) const LEAST_UNITS: usize = 64;
/// A class has quarters only if its slots have no more bytes than this.
pub(super) const MOST_SLOT_BYTES: usize = 1024;

const _: () =
    assert!(super::region::MAX_REGION / super::QUARTER_BYTES <= FIRST_QUARTER, "the numbers of spans are 32 bits");

/// The number of a quarter in the region, if that is what goes by this number.
#[inline(always)]
pub(crate) fn quarter_of(span: usize) -> Option<usize> {
    span.checked_sub(FIRST_QUARTER)
}

/// The unit that a span begins in.
#[inline(always)]
pub(crate) fn unit_of_span(span: usize) -> usize {
    quarter_of(span).map_or(span, |quarter| quarter / QUARTERS)
}

/// How many bytes a span has of the unit that it begins in.
#[inline(always)]
pub(crate) fn bytes_in_unit(span: usize) -> usize {
    if quarter_of(span).is_some() { QUARTER_BYTES } else { SPAN_BYTES }
}

/// How many bytes of a span come before its first slot: odd ones lie at multiples of their size from the beginning of the unit.
#[inline(always)]
pub(crate) fn lead(span: usize, slot_bytes: usize) -> usize {
    match quarter_of(span) {
        Some(quarter) if is_odd(slot_bytes) => {
            let within = quarter % QUARTERS * QUARTER_BYTES;
            within.next_multiple_of(slot_bytes) - within
        }
        _ => 0,
    }
}

/// How many slots of this size a span has in so many bytes.
pub(crate) fn slots_in(span: usize, slot_bytes: usize, bytes: usize) -> usize {
    (bytes - lead(span, slot_bytes)) / slot_bytes
}

/// The numbers that the quarters of a unit go by, as spans.
pub(crate) fn quarters_of(unit: usize) -> Range<usize> {
    let first = FIRST_QUARTER + unit * QUARTERS;
    first..first + QUARTERS
}

/// The free quarters of the units that are split. Spans, by their numbers.
#[derive(Default)]
pub(crate) struct Quarters {
    free: BTreeSet<u32>,
    /// Units that are split.
    units: usize,
}

impl Quarters {
    /// Takes the lowest.
    pub(crate) fn take(&mut self) -> Option<usize> {
        self.free.pop_first().map(|span| span as usize)
    }

    /// Takes the first quarter of a unit that has just been split; the others are free.
    pub(crate) fn take_of(&mut self, unit: usize) -> usize {
        self.units += 1;
        let all = quarters_of(unit);
        self.free.extend(all.clone().skip(1).map(|span| span as u32));
        all.start
    }

    /// Gives one back. If no other quarter of its unit is in use, gives that unit, which is nobody's and to be whole again.
    pub(crate) fn give_back(&mut self, span: usize) -> Option<usize> {
        self.free.insert(span as u32);
        let unit = unit_of_span(span);
        let is_free = quarters_of(unit).all(|span| self.free.contains(&(span as u32)));
        is_free.then(|| {
            quarters_of(unit).for_each(|span| _ = self.free.remove(&(span as u32)));
            self.units -= 1;
            unit
        })
    }

    /// The free ones, for the verifier.
    pub(crate) fn free(&self) -> impl Iterator<Item = usize> {
        self.free.iter().map(|&span| span as usize)
    }

    /// How many units are split.
    pub(crate) fn units(&self) -> usize {
        self.units
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_whole_again_when_its_last_quarter_comes_back() {
        let mut quarters = Quarters::default();
        assert_eq!(quarters.take(), None);
        let of = |unit| quarters_of(unit).collect::<Vec<_>>();
        let (high, low) = (of(7), of(3));
        assert_eq!(quarters.take_of(7), high[0]);
        assert_eq!(quarters.take(), Some(high[1]));
        assert_eq!(quarters.take_of(3), low[0]);
        assert_eq!(quarters.take(), Some(low[1]), "the lowest first");
        assert_eq!(quarters.units(), 2);
        assert_eq!(quarters.free().collect::<Vec<_>>(), [low[2], low[3], high[2], high[3]]);
        assert_eq!(quarters.give_back(high[0]), None);
        assert_eq!(quarters.give_back(high[1]), Some(7));
        assert_eq!((quarters.units(), quarters.free().collect::<Vec<_>>()), (1, vec![low[2], low[3]]));
        assert!(low.iter().all(|&span| unit_of_span(span) == 3 && quarter_of(span).is_some()));
        assert_eq!((unit_of_span(3), quarter_of(3)), (3, None));
    }
}
