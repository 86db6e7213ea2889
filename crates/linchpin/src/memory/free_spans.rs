//! Which units of the region are free, and which of these have their pages still.

use std::ops::Range;

use super::unit_set::UnitSet;

/// Of how many cycles the growth is remembered.
const CYCLES: usize = 3;
/// A heap that uses less counts as if it used so many units (4 MiB, as in the growth rule).
const LEAST: u32 = 64;

/// The free units: everything from the frontier on, and runs below it.
///
/// A free unit is *resident*, which is to say that the operating system may have pages for it, if it was in use and was not
/// returned since, or had pages from the start. Resident ones are taken first; first fit, lowest address first. One lock guards it (it is asked once for each
/// 64 KiB of small objects, or once for a large one).
///
/// Who returns pages takes the units out of the table for as long as that takes ([`FreeSpans::begin_return`]), so
/// that nobody waits for the lock meanwhile.
pub(crate) struct FreeSpans {
    /// Units from here on are free.
    frontier: u32,
    /// Units from here on have never been used, nor had pages.
    top: u32,
    end: u32,
    /// The free ones below the frontier.
    free: UnitSet,
    /// The free ones that have their pages, the ones beyond the frontier among them.
    resident: UnitSet,
    in_use: u32,
    /// Units whose pages are being returned.
    returning: u32,
    /// The most units in use since the last cycle ended, and how many were in use then.
    peak: u32,
    base: u32,
    /// The peaks of the last cycles, in percent of what was in use before.
    growth: [u64; CYCLES],
    /// How many units are to stay resident, those in use among them.
    retained: u32,
    /// No fewer than these, which had their pages before they were used.
    populated: u32,
    /// The operating system has refused to take the pages of a piece that begins here: those from here on are left alone.
    refused_from: u32,
}

impl FreeSpans {
    pub(crate) fn new(units: usize) -> Self {
        Self {
            frontier: 0,
            top: 0,
            end: u32::try_from(units).expect("MAX_REGION keeps units within 32 bits"),
            free: UnitSet::default(),
            resident: UnitSet::default(),
            in_use: 0,
            returning: 0,
            peak: 0,
            base: 0,
            growth: [0; CYCLES],
            retained: u32::MAX,
            populated: 0,
            refused_from: u32::MAX,
        }
    }

    /// The lowest units, so many, have their pages before any of them is used, and are to keep them.
    pub(crate) fn note_populated(&mut self, units: usize) {
        debug_assert_eq!(self.top, 0, "nothing was used yet");
        self.populated = units as u32;
        self.top = self.populated;
        if units != 0 {
            self.resident.add(0..self.populated);
        }
    }

    /// Takes `units` adjacent units; `None` if no such run is free.
    pub(crate) fn take(&mut self, units: usize) -> Option<usize> {
        let wanted = u32::try_from(units).ok()?;
        let start = match self.resident.first_fit(wanted).or_else(|| self.free.first_fit(wanted)) {
            Some(start) => start,
            None if self.end - self.frontier < wanted => return None,
            None => self.frontier,
        };
        self.take_out(start..start + wanted);
        self.in_use += wanted;
        self.peak = self.peak.max(self.in_use);
        Some(start as usize)
    }

    /// Gives back what `take` gave.
    pub(crate) fn give_back(&mut self, start: usize, units: usize) {
        let range = start as u32..(start + units) as u32;
        self.in_use -= units as u32;
        self.resident.add(range.clone());
        self.put(range);
    }

    /// Takes up to `most` adjacent free units that are resident out of the table, the highest there are, while more than `keep` units
    /// are resident, those in use among them. Whoever is given them returns their pages and says so by [`Self::end_return`].
    pub(crate) fn begin_return(&mut self, most: usize, keep: usize) -> Option<Range<usize>> {
        let excess = self.resident_units().checked_sub(keep).filter(|&excess| excess != 0)?;
        let last = self.resident.last_below(self.refused_from)?;
        let units = most.min(excess).min(last.len()) as u32;
        let range = last.end - units..last.end;
        self.take_out(range.clone());
        self.returning += units;
        Some(range.start as usize..range.end as usize)
    }

    /// Puts back what `begin_return` gave: without its pages, or, if the system refused, with them.
    pub(crate) fn end_return(&mut self, range: Range<usize>, returned: bool) {
        let range = range.start as u32..range.end as u32;
        self.returning -= range.len() as u32;
        if !returned {
            self.resident.add(range.clone());
            self.refused_from = self.refused_from.min(range.start);
        }
        self.put(range);
    }

    /// What the system has refused may be offered to it again.
    pub(crate) fn forget_refusals(&mut self) {
        self.refused_from = u32::MAX;
    }

    /// Whether units are missing that will soon be free again.
    pub(crate) fn is_returning(&self) -> bool {
        self.returning != 0
    }

    /// A cycle has ended: reckons how much the next one will need again, and a tenth more; that is to stay resident.
    ///
    /// It needs what is in use now, times the growth of the last cycles, the greatest of them. So a heap that goes to and
    /// fro between two cycles keeps its pages, and one that has dropped most of what it had keeps as much less.
    pub(crate) fn end_cycle(&mut self) {
        self.growth.rotate_right(1);
        self.growth[0] = u64::from(self.peak.max(LEAST)) * 100 / u64::from(self.base.max(LEAST));
        let growth = self.growth.into_iter().max().unwrap_or(0);
        let retained = u64::from(self.in_use.max(LEAST)) * growth * 11 / 1000;
        self.retained = u32::try_from(retained).unwrap_or(u32::MAX);
        self.base = self.in_use;
        self.peak = self.in_use;
        self.forget_refusals();
    }

    /// How many units are to stay resident, those in use among them.
    pub(crate) fn retained(&self) -> usize {
        self.retained.max(self.populated) as usize
    }

    /// Units in use, and free ones that are resident.
    pub(crate) fn resident_units(&self) -> usize {
        (self.in_use + self.resident.units()) as usize
    }

    /// Free units that were in use once, or populated, and whose pages have been returned since.
    pub(crate) fn returned_units(&self) -> usize {
        (self.top - self.in_use - self.resident.units() - self.returning) as usize
    }

    /// Units below which everything in use lies.
    pub(crate) fn frontier(&self) -> usize {
        self.frontier as usize
    }

    /// Units that have ever been in use or had pages, or lie below one that has.
    pub(crate) fn top(&self) -> usize {
        self.top as usize
    }

    /// Units in use.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use as usize
    }

    /// The free runs below the frontier, for the verifier.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        self.free.iter().map(|run| run.start as usize..run.end as usize)
    }

    /// Checks that the parts of the table agree; says what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.frontier > self.top || self.top > self.end {
            return Err(format!(
                "all units from {} of {} on are free, of which those from {} on were never used",
                self.frontier, self.end, self.top
            ));
        }
        if let Some(run) = self.free.iter().find(|run| run.end >= self.frontier) {
            return Err(format!("units {}..{} are free, and all from {} on", run.start, run.end, self.frontier));
        }
        self.free.check("free")?;
        self.resident.check("resident")?;
        for run in self.resident.iter() {
            if !(run.start >= self.frontier && run.end <= self.top || self.free.contains(run.clone())) {
                return Err(format!(
                    "units {}..{} are said to be free and resident, and are not free",
                    run.start, run.end
                ));
            }
        }
        if self.free.units() + self.in_use + self.returning != self.frontier {
            return Err(format!(
                "{} units are free, {} in use and {} being returned, of {}",
                self.free.units(),
                self.in_use,
                self.returning,
                self.frontier
            ));
        }
        Ok(())
    }

    /// Has a unit among the free ones that is not, or the reverse, for the verifier's tests.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn flip_free(&mut self, unit: usize) {
        self.free.flip(unit as u32);
    }

    /// Free units cease to be so.
    ///
    /// A resident run lies on one side of the frontier, as the unit below that is in use, or being returned.
    fn take_out(&mut self, range: Range<u32>) {
        self.resident.take_out(range.clone());
        if range.start < self.frontier {
            self.free.take_out(range);
            return;
        }
        if range.start > self.frontier {
            self.free.add(self.frontier..range.start);
        }
        self.frontier = range.end;
        self.top = self.top.max(range.end);
    }

    /// Units become free.
    fn put(&mut self, range: Range<u32>) {
        if range.end != self.frontier {
            return self.free.add(range);
        }
        let start = self.free.start_of_run(range.start);
        self.free.take_out(start..range.start);
        self.frontier = start;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_joined_and_the_frontier_comes_back() {
        let mut free = FreeSpans::new(8);
        let all: Vec<_> = (0..8).map(|_| free.take(1).unwrap()).collect();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
        assert_eq!(free.take(1), None);
        for unit in [1, 3, 2] {
            free.give_back(unit, 1);
        }
        assert_eq!(free.take(4), None, "only three neighbours are free");
        assert_eq!(free.take(3), Some(1));
        free.give_back(1, 3);
        for unit in [0, 4, 7, 5, 6] {
            free.give_back(unit, 1);
        }
        assert_eq!((free.frontier(), free.in_use()), (0, 0));
        assert_eq!(free.take(8), Some(0));
    }

    #[test]
    fn the_lowest_that_fits_is_taken_and_the_rest_kept() {
        let mut free = FreeSpans::new(16);
        for _ in 0..16 {
            free.take(1).unwrap();
        }
        free.give_back(2, 2);
        free.give_back(10, 4);
        assert_eq!(free.take(3), Some(10), "the lower run is too short");
        assert_eq!(free.take(1), Some(2), "any fits, and this is the lowest");
        assert_eq!(free.take(2), None);
        assert_eq!((free.take(1), free.take(1)), (Some(3), Some(13)));
        assert_eq!(free.take(1), None);
    }

    /// Whatever is wrong with the table, the check says so; and it says what.
    #[test]
    fn a_table_that_does_not_agree_with_itself_is_told_of() {
        type Change = fn(&mut FreeSpans);
        let table = |change: Change| {
            let mut free = FreeSpans::new(16);
            for _ in 0..10 {
                free.take(1).unwrap();
            }
            free.give_back(2, 3);
            free.give_back(6, 1);
            free.check().unwrap();
            change(&mut free);
            free.check()
        };
        let broken: [(Change, &str); 11] = [
            (|free| free.free.add(8..10), "units 8..10 are free, and all from 10 on"),
            (|free| free.end = 9, "all units from 10 of 9 on"),
            (|free| free.top = 9, "those from 9 on were never used"),
            (|free| free.free.flip(3), "3 units are in the free ones, which count 4"),
            (|free| free.free.flip(5), "5 units are in the free ones, which count 4"),
            (|free| free.free.hide(), "units 2..5 are free, and so many are looked for from 64 on"),
            (|free| free.resident.flip(3), "3 units are in the resident ones, which count 4"),
            (|free| free.resident.hide(), "units 2..5 are resident, and so many are looked for from 64 on"),
            (|free| free.resident.add(0..1), "units 0..1 are said to be free and resident"),
            (|free| free.resident.add(12..13), "units 12..13 are said to be free and resident"),
            (|free| free.in_use += 1, "4 units are free, 7 in use and 0 being returned, of 10"),
        ];
        for (change, problem) in broken {
            let told = table(change).expect_err(problem);
            assert!(told.contains(problem), "{told}");
        }
    }

    #[test]
    fn the_highest_are_returned_first_and_those_with_pages_taken_first() {
        let mut free = FreeSpans::new(32);
        for _ in 0..20 {
            free.take(1).unwrap();
        }
        free.give_back(2, 3);
        free.give_back(10, 8);
        assert_eq!((free.resident_units(), free.returned_units()), (20, 0));
        assert_eq!(free.begin_return(6, 20), None, "no more than that is resident");
        let piece = free.begin_return(6, 10).unwrap();
        assert_eq!(piece, 12..18);
        assert!(free.is_returning());
        assert_eq!((free.take(7), free.resident_units()), (Some(20), 21));
        free.give_back(20, 7);
        free.end_return(piece, true);
        free.check().unwrap();
        assert_eq!((free.is_returning(), free.returned_units()), (false, 6));
        assert_eq!(free.begin_return(6, 20), Some(26..27), "what is beyond the frontier is higher");
        free.end_return(26..27, false);
        assert_eq!(free.resident_units(), 21, "the system did not take it");
        assert_eq!(free.begin_return(6, 20), Some(25..26), "it is not offered again");
        free.end_return(25..26, false);
        free.end_cycle();
        assert_eq!(free.begin_return(6, 20), Some(26..27), "but in the next cycle");
        free.end_return(26..27, false);
        assert_eq!(free.take(3), Some(2), "as low as possible, with pages");
        assert_eq!(free.take(6), Some(20), "with pages, rather than lower");
        assert_eq!(free.take(6), Some(10), "with some");
        free.check().unwrap();
    }

    #[test]
    fn as_much_is_retained_as_the_greatest_growth_of_three_cycles_asks_for() {
        let mut free = FreeSpans::new(10_000);
        assert_eq!(free.retained(), u32::MAX as usize, "before the first cycle nobody knows");
        let all = free.take(1000).unwrap();
        free.end_cycle();
        // From 1000 to 2000 and back.
        let more = free.take(1000).unwrap();
        free.give_back(more, 1000);
        free.end_cycle();
        free.end_cycle();
        free.end_cycle();
        assert_eq!(free.retained(), 2200);
        free.end_cycle();
        assert_eq!(free.retained(), 1100, "three cycles without growth");
        free.give_back(all, 1000);
        free.end_cycle();
        assert_eq!(free.retained(), 70, "the least, and a tenth more");
    }

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Unit {
        Free,
        Resident,
        Used,
        Returning,
    }

    proptest! {
        /// Against a list of what each unit is.
        #[test]
        fn the_tables_agree_whatever_is_done(steps in vec((0..4_u8, 0..1000_usize, 1..9_usize), 1..200)) {
            const UNITS: usize = 64;
            let mut free = FreeSpans::new(UNITS);
            let mut model = [Unit::Free; UNITS];
            let (mut taken, mut pieces) = (Vec::new(), Vec::new());
            let mut refused_from = UNITS;
            for (kind, choice, units) in steps {
                match kind {
                    0 => {
                        let fits = |wanted: fn(Unit) -> bool| {
                            model.windows(units).any(|run| run.iter().all(|&unit| wanted(unit)))
                        };
                        let with_pages = fits(|unit| unit == Unit::Resident);
                        let at_all = fits(|unit| [Unit::Free, Unit::Resident].contains(&unit));
                        let start = free.take(units);
                        prop_assert_eq!(start.is_some(), at_all);
                        if let Some(start) = start {
                            let run = &mut model[start..start + units];
                            prop_assert!(run.iter().all(|&unit| unit == Unit::Resident || !with_pages && unit == Unit::Free));
                            run.fill(Unit::Used);
                            taken.push(start..start + units);
                        }
                    }
                    1 if !taken.is_empty() => {
                        let run = taken.swap_remove(choice % taken.len());
                        model[run.clone()].fill(Unit::Resident);
                        free.give_back(run.start, run.len());
                    }
                    2 => {
                        let resident = |model: &[Unit]| {
                            model.iter().filter(|&unit| [Unit::Resident, Unit::Used].contains(unit)).count()
                        };
                        let keep = choice % UNITS;
                        let highest = model[..refused_from].iter().rposition(|&unit| unit == Unit::Resident);
                        if let Some(piece) = free.begin_return(units, keep) {
                            prop_assert_eq!(Some(piece.end - 1), highest);
                            prop_assert!(model[piece.clone()].iter().all(|&unit| unit == Unit::Resident));
                            model[piece.clone()].fill(Unit::Returning);
                            prop_assert!(piece.len() <= units && resident(&model) >= keep);
                            pieces.push(piece);
                        } else {
                            prop_assert!(highest.is_none() || resident(&model) <= keep);
                        }
                    }
                    3 if !pieces.is_empty() => {
                        let piece: Range<usize> = pieces.swap_remove(choice % pieces.len());
                        let returned = choice % 4 != 0;
                        model[piece.clone()].fill(if returned { Unit::Free } else { Unit::Resident });
                        if !returned {
                            refused_from = refused_from.min(piece.start);
                        }
                        free.end_return(piece, returned);
                        if choice % 8 == 0 {
                            free.forget_refusals();
                            refused_from = UNITS;
                        }
                    }
                    _ => continue,
                }
                prop_assert_eq!(free.check(), Ok(()));
                let count = |kind| model.iter().filter(|&&unit| unit == kind).count();
                prop_assert_eq!(free.in_use(), count(Unit::Used));
                prop_assert_eq!(free.resident_units(), count(Unit::Used) + count(Unit::Resident));
                prop_assert_eq!(free.is_returning(), count(Unit::Returning) != 0);
                let not_free = [Unit::Used, Unit::Returning];
                let frontier = model.iter().rposition(|unit| not_free.contains(unit)).map_or(0, |last| last + 1);
                prop_assert_eq!(free.frontier(), frontier);
                prop_assert_eq!(free.returned_units(), model[..free.top()].iter().filter(|&&unit| unit == Unit::Free).count());
                for (unit, kind) in model.iter().enumerate().take(frontier) {
                    prop_assert_eq!(free.runs().any(|run| run.contains(&unit)), !not_free.contains(kind));
                }
            }
        }
    }
}
