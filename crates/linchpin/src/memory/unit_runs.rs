//! Sets of units, kept as runs of adjacent ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A set of units; its runs are as long as can be. Found by where they begin, and by how long they are.
#[derive(Default)]
pub(super) struct UnitRuns {
    pub(super) by_start: BTreeMap<u32, u32>,
    pub(super) by_length: BTreeSet<(u32, u32)>,
    units: u32,
}

impl UnitRuns {
    /// How many units are in the set.
    pub(super) fn units(&self) -> u32 {
        self.units
    }

    /// The shortest run of at least `wanted` units, the lowest of these: where it begins.
    pub(super) fn best_fit(&self, wanted: u32) -> Option<u32> {
        self.by_length.range((wanted, 0)..).next().map(|&(_, start)| start)
    }

    /// The highest run below a unit, as far as it is below.
    pub(super) fn last_below(&self, unit: u32) -> Option<Range<u32>> {
        self.by_start.range(..unit).next_back().map(|(&start, &length)| start..unit.min(start + length))
    }

    /// The runs, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u32>> {
        self.by_start.iter().map(|(&start, &length)| start..start + length)
    }

    /// The run that holds a unit, if it is in the set.
    pub(super) fn around(&self, unit: u32) -> Option<Range<u32>> {
        let (&start, &length) = self.by_start.range(..=unit).next_back()?;
        (unit < start + length).then_some(start..start + length)
    }

    /// Adds units that are not in the set, and joins them with their neighbours; returns the run they are in now.
    pub(super) fn add(&mut self, range: Range<u32>) -> Range<u32> {
        let Range { mut start, mut end } = range;
        if let Some((&before, &length)) = self.by_start.range(..start).next_back()
            && before + length == start
        {
            self.remove(before, length);
            start = before;
        }
        if let Some(&length) = self.by_start.get(&end) {
            self.remove(end, length);
            end += length;
        }
        self.insert(start, end - start);
        start..end
    }

    /// Takes those of the units that are in the set out of it.
    pub(super) fn take_out(&mut self, range: Range<u32>) {
        while let Some((&start, &length)) = self.by_start.range(..range.end).next_back()
            && start + length > range.start
        {
            let end = start + length;
            self.remove(start, length);
            if start < range.start {
                self.insert(start, range.start - start);
            }
            if range.end < end {
                self.insert(range.end, end - range.end);
            }
        }
    }

    /// Checks that the parts agree; says what does not.
    pub(super) fn check(&self, what: &str) -> Result<(), String> {
        let mut units = 0;
        let mut end_of_last = None;
        for (&start, &length) in &self.by_start {
            if length == 0 {
                return Err(format!("a {what} run at unit {start} has no units"));
            }
            if end_of_last.is_some_and(|last| last >= start) {
                return Err(format!("the {what} run at unit {start} overlaps or touches the one before"));
            }
            if !self.by_length.contains(&(length, start)) {
                return Err(format!("the {what} run of {length} units at {start} is not listed by its length"));
            }
            end_of_last = Some(start + length);
            units += length;
        }
        if self.by_length.len() != self.by_start.len() {
            return Err(format!("{} {what} runs by length, {} by start", self.by_length.len(), self.by_start.len()));
        }
        if units != self.units {
            return Err(format!("the {what} runs have {units} units, and count {}", self.units));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, start: u32, length: u32) {
        self.by_start.insert(start, length);
        self.by_length.insert((length, start));
        self.units += length;
    }

    fn remove(&mut self, start: u32, length: u32) {
        self.by_start.remove(&start);
        self.by_length.remove(&(length, start));
        self.units -= length;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::UnitRuns;

    #[test]
    fn a_run_is_found_from_each_of_its_units() {
        let mut runs = UnitRuns::default();
        runs.add(3..6);
        runs.add(8..9);
        let around: Vec<_> = (2..10).map(|unit| runs.around(unit)).collect();
        let (first, second) = (Some(3..6), Some(8..9));
        assert_eq!(around, [None, first.clone(), first.clone(), first.clone(), None, None, second, None]);
        let below: Vec<_> = [0, 3, 4, 6, 8, 9, 20].map(|unit| runs.last_below(unit)).to_vec();
        assert_eq!(below, [None, None, Some(3..4), first.clone(), first, Some(8..9), Some(8..9)]);
    }
}
