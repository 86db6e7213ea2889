//! Which units of the region are free.

use std::collections::{BTreeMap, BTreeSet};

/// The free units: everything from the frontier on, and runs below it.
///
/// Best fit, lowest address first; neighbours are joined when they come back. One lock guards it (it is asked
/// once for each 64 KiB of small objects, or once for a large one).
pub(crate) struct FreeSpans {
    /// Units from here on have never been used.
    frontier: u32,
    end: u32,
    by_start: BTreeMap<u32, u32>,
    by_length: BTreeSet<(u32, u32)>,
    in_use: usize,
}

impl FreeSpans {
    pub(crate) fn new(units: usize) -> Self {
        Self {
            frontier: 0,
            end: u32::try_from(units).expect("MAX_REGION keeps units within 32 bits"),
            by_start: BTreeMap::new(),
            by_length: BTreeSet::new(),
            in_use: 0,
        }
    }

    /// Takes `units` adjacent units; `None` if no such run is free.
    pub(crate) fn take(&mut self, units: usize) -> Option<usize> {
        let wanted = u32::try_from(units).ok()?;
        let found = self.by_length.range((wanted, 0)..).next().copied();
        let start = if let Some((length, start)) = found {
            self.remove(start, length);
            if length > wanted {
                self.insert(start + wanted, length - wanted);
            }
            start
        } else {
            if self.end - self.frontier < wanted {
                return None;
            }
            let start = self.frontier;
            self.frontier += wanted;
            start
        };
        self.in_use += units;
        Some(start as usize)
    }

    /// Gives back what `take` gave.
    pub(crate) fn give_back(&mut self, start: usize, units: usize) {
        self.in_use -= units;
        let mut start = start as u32;
        let mut length = units as u32;
        if let Some((&before, &before_length)) = self.by_start.range(..start).next_back()
            && before + before_length == start
        {
            self.remove(before, before_length);
            start = before;
            length += before_length;
        }
        if let Some(&after_length) = self.by_start.get(&(start + length)) {
            self.remove(start + length, after_length);
            length += after_length;
        }
        if start + length == self.frontier {
            self.frontier = start;
        } else {
            self.insert(start, length);
        }
    }

    /// Units below which everything in use lies.
    pub(crate) fn frontier(&self) -> usize {
        self.frontier as usize
    }

    /// Units in use.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    /// The free runs below the frontier, for the verifier.
    pub(crate) fn runs(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.by_start.iter().map(|(&start, &length)| start as usize..(start + length) as usize)
    }

    /// Checks that the parts of the table agree; says what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut free = 0;
        let mut end_of_last = None;
        for (&start, &length) in &self.by_start {
            let end = start + length;
            if length == 0 || end >= self.frontier || self.frontier > self.end {
                return Err(format!(
                    "units {start}..{end} are free, and all from {} of {} on",
                    self.frontier, self.end
                ));
            }
            if end_of_last.is_some_and(|last| last >= start) {
                return Err(format!("the free run at unit {start} overlaps or touches the one before"));
            }
            if !self.by_length.contains(&(length, start)) {
                return Err(format!("the free run of {length} units at {start} is not listed by its length"));
            }
            end_of_last = Some(end);
            free += length as usize;
        }
        if self.by_length.len() != self.by_start.len() {
            return Err(format!("{} runs by length, {} by start", self.by_length.len(), self.by_start.len()));
        }
        if free + self.in_use != self.frontier as usize {
            return Err(format!("{free} units are free and {} in use, of {}", self.in_use, self.frontier));
        }
        Ok(())
    }

    /// Has a free run missing from one of the two tables, or back in it, for the verifier's tests.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn set_listed_by_length(&mut self, start: usize, units: usize, listed: bool) {
        let entry = (units as u32, start as u32);
        let changed = if listed { self.by_length.insert(entry) } else { self.by_length.remove(&entry) };
        assert!(changed, "there is such a run");
    }

    fn insert(&mut self, start: u32, length: u32) {
        self.by_start.insert(start, length);
        self.by_length.insert((length, start));
    }

    fn remove(&mut self, start: u32, length: u32) {
        self.by_start.remove(&start);
        self.by_length.remove(&(length, start));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::FreeSpans;

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
    fn the_best_fit_is_taken_and_the_rest_kept() {
        let mut free = FreeSpans::new(16);
        for _ in 0..16 {
            free.take(1).unwrap();
        }
        free.give_back(2, 4);
        free.give_back(10, 2);
        assert_eq!(free.take(2), Some(10), "the smaller run fits exactly");
        assert_eq!(free.take(3), Some(2));
        assert_eq!(free.take(1), Some(5));
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
        let broken: [(Change, &str); 7] = [
            (|free| free.insert(8, 0), "units 8..8 are free"),
            (|free| free.insert(8, 2), "units 8..10 are free"),
            (|free| free.end = 9, "all from 10 of 9 on"),
            (|free| free.insert(4, 1), "unit 4 overlaps or touches"),
            (|free| _ = free.by_length.remove(&(1, 6)), "1 units at 6 is not listed"),
            (|free| _ = free.by_length.insert((9, 9)), "3 runs by length, 2 by start"),
            (|free| free.in_use += 1, "4 units are free and 7 in use, of 10"),
        ];
        for (change, problem) in broken {
            let told = table(change).expect_err(problem);
            assert!(told.contains(problem), "{told}");
        }
    }
}
