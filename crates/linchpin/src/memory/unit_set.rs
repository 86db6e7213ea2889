//! Sets of units, a bit each: 64 of them, 4 MiB of the region, lie in a word.

use std::ops::Range;

const BITS: u32 = u64::BITS;
/// One for each power of two that a length may be.
const LENGTHS: usize = u32::BITS as usize;

/// A set of units.
#[derive(Default)]
pub(super) struct UnitSet {
    /// As many as were ever needed; what lies behind them is not in the set.
    words: Vec<u64>,
    units: u32,
    /// No run of so many units, two to the power of the place, begins below this. Whoever looks for one begins here, and leaves it where the first was found: else
    /// each search for many would pass by all the short ones again.
    lowest: [u32; LENGTHS],
}

impl UnitSet {
    /// How many units are in the set.
    pub(super) fn units(&self) -> u32 {
        self.units
    }

    /// Where the lowest run of at least so many units begins, of one at the least.
    pub(super) fn first_fit(&mut self, wanted: u32) -> Option<u32> {
        let length = wanted.ilog2() as usize;
        let mut lowest = None;
        let mut end = self.lowest[length];
        let found = loop {
            let Some(start) = self.next(end) else { break None };
            // One unit is what is mostly asked for: it is there.
            end = if wanted == 1 { start + 1 } else { self.end_of_run(start) };
            if end - start >= 1 << length {
                lowest.get_or_insert(start);
            }
            if end - start >= wanted {
                break Some(start);
            }
        };
        self.lowest[length] = lowest.unwrap_or(self.end());
        found
    }

    /// The highest run below a unit, as far as it is below.
    pub(super) fn last_below(&self, unit: u32) -> Option<Range<u32>> {
        let end = self.end_of_last_below(unit);
        (end != 0).then(|| self.start_of_run(end)..end)
    }

    /// The runs, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u32>> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let start = self.next(from)?;
            from = self.end_of_run(start);
            Some(start..from)
        })
    }

    /// Whether all of these units are in the set.
    pub(super) fn contains(&self, range: Range<u32>) -> bool {
        self.end_of_run(range.start) >= range.end
    }

    /// Where the run begins that ends before `end`; that is `end` itself, if the unit before it is not in the set.
    pub(super) fn start_of_run(&self, end: u32) -> u32 {
        // The first that is not in the set, from the one below `end` downwards.
        self.highest_below(end, |word| !word).map_or(0, |missing| missing + 1)
    }

    /// Adds units that are not in the set.
    pub(super) fn add(&mut self, range: Range<u32>) {
        let words = range.end.div_ceil(BITS) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
        self.units += range.end - range.start;
        for (word, mask) in masks(range.clone()) {
            debug_assert_eq!(self.words[word] & mask, 0, "units are added once");
            self.words[word] |= mask;
        }
        let start = self.start_of_run(range.start);
        let length = (self.end_of_run(range.start) - start).ilog2() as usize;
        self.lowest[..=length].iter_mut().for_each(|lowest| *lowest = start.min(*lowest));
    }

    /// Takes those of the units that are in the set out of it.
    pub(super) fn take_out(&mut self, range: Range<u32>) {
        for (word, mask) in masks(range) {
            let Some(word) = self.words.get_mut(word) else { return };
            self.units -= (*word & mask).count_ones();
            *word &= !mask;
        }
    }

    /// Checks that the parts agree; says what does not.
    pub(super) fn check(&self, what: &str) -> Result<(), String> {
        let units: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        if units != self.units {
            return Err(format!("{units} units are in the {what} ones, which count {}", self.units));
        }
        for run in self.iter() {
            let shorter = &self.lowest[..=run.len().ilog2() as usize];
            if let Some(from) = shorter.iter().find(|&&lowest| run.start < lowest) {
                return Err(format!(
                    "units {}..{} are {what}, and so many are looked for from {from} on",
                    run.start, run.end
                ));
            }
        }
        Ok(())
    }

    /// Has a unit in the set, or not, while the count stays, for the verifier's tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn flip(&mut self, unit: u32) {
        self.words[(unit / BITS) as usize] ^= 1 << (unit % BITS);
    }

    /// Has all units where they are not looked for, for the verifier's tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn hide(&mut self) {
        self.lowest = [self.end(); LENGTHS];
    }

    /// The lowest unit of the set from this one on.
    fn next(&self, from: u32) -> Option<u32> {
        self.lowest_from(from, |word| word)
    }

    /// The lowest unit from this one on that is not in the set.
    fn end_of_run(&self, start: u32) -> u32 {
        self.lowest_from(start, |word| !word).unwrap_or_else(|| start.max(self.end()))
    }

    /// One more than the highest unit of the set below this one; 0 if there is none.
    fn end_of_last_below(&self, unit: u32) -> u32 {
        self.highest_below(unit.min(self.end()), |word| word).map_or(0, |last| last + 1)
    }

    /// Nothing from here on is in the set.
    fn end(&self) -> u32 {
        self.words.len() as u32 * BITS
    }

    /// The lowest bit from this one on that `view` shows.
    fn lowest_from(&self, from: u32, view: impl Fn(u64) -> u64) -> Option<u32> {
        let first = (from / BITS) as usize;
        let mut shown = view(*self.words.get(first)?) & (!0 << (from % BITS));
        let mut index = first;
        while shown == 0 {
            index += 1;
            shown = view(*self.words.get(index)?);
        }
        Some(index as u32 * BITS + shown.trailing_zeros())
    }

    /// The highest bit below this one that `view` shows.
    fn highest_below(&self, end: u32, view: impl Fn(u64) -> u64) -> Option<u32> {
        let shown = |index: usize| view(self.words.get(index).copied().unwrap_or(0));
        let mut index = (end / BITS) as usize;
        let mut word = shown(index) & !(!0 << (end % BITS));
        while word == 0 {
            index = index.checked_sub(1)?;
            word = shown(index);
        }
        Some(index as u32 * BITS + word.ilog2())
    }
}

/// The words that a range is in, and which bits of each.
fn masks(range: Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let Range { mut start, end } = range;
    std::iter::from_fn(move || {
        (start < end).then(|| {
            let (word, first) = (start / BITS, start % BITS);
            let bits = (end - start).min(BITS - first);
            start += bits;
            (word as usize, (!0 >> (BITS - bits)) << first)
        })
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::UnitSet;

    proptest! {
        /// Against a set of numbers.
        #[test]
        fn it_answers_as_a_set_of_numbers_does(steps in vec((any::<bool>(), 0..300_u32, 1..150_u32), 1..60)) {
            let mut set = UnitSet::default();
            let mut model = BTreeSet::new();
            for (adds, start, units) in steps {
                let range = start..start + units;
                if adds && model.range(range.clone()).next().is_none() {
                    set.add(range.clone());
                    model.extend(range);
                } else if adds {
                    // What is there already may not be added again.
                    for unit in range.filter(|&unit| model.insert(unit)) {
                        set.add(unit..unit + 1);
                    }
                } else {
                    set.take_out(range.clone());
                    model.retain(|unit| !range.contains(unit));
                }
                set.check("").unwrap();
                prop_assert_eq!(set.units() as usize, model.len());
                let runs: Vec<_> = set.iter().collect();
                prop_assert!(runs.iter().cloned().flatten().eq(model.iter().copied()));
                prop_assert!(runs.windows(2).all(|two| two[0].end < two[1].start), "runs are as long as can be");
                let first_fit = runs.iter().find(|run| run.len() >= units as usize).map(|run| run.start);
                prop_assert_eq!(set.first_fit(units), first_fit);
                prop_assert_eq!(set.last_below(u32::MAX), runs.last().cloned());
                let below = runs.iter().rev().find(|run| run.start < start).map(|run| run.start..run.end.min(start));
                prop_assert_eq!(set.last_below(start), below.clone());
                let start_of_run = below.filter(|run| run.end == start).map_or(start, |run| run.start);
                prop_assert_eq!(set.start_of_run(start), start_of_run);
                let all = runs.iter().any(|run| run.start <= start && start + units <= run.end);
                prop_assert_eq!(set.contains(start..start + units), all);
            }
        }
    }

    #[test]
    fn ranges_go_across_words() {
        let mut set = UnitSet::default();
        set.add(60..200);
        assert_eq!((set.units(), set.first_fit(140), set.first_fit(141)), (140, Some(60), None));
        set.take_out(64..128);
        assert_eq!(set.iter().collect::<Vec<_>>(), [60..64, 128..200]);
        set.add(64..128);
        assert!(set.iter().eq(std::iter::once(60..200)));
    }
}
