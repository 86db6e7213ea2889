//! How long units of work took: a histogram of fixed size, outside the heap that is measured, and the clock that feeds it.
//!
//! Growing arrays of samples would feed the collector or the allocator that is being looked at. Buckets are exact below 2,048
//! ns and a thousandth wide above: each power of two is divided into 1,024 of the same width.

use std::time::{Duration, Instant};

/// A power of two of nanoseconds is divided into two to this power of buckets.
const DIVISION: u32 = 10;
/// Buckets a power of two.
const SUB_BUCKETS: usize = 1 << DIVISION;
/// Enough for every number of 64 bits: the first two powers' worth of buckets is one nanosecond wide.
const BUCKETS: usize = (u64::BITS - DIVISION + 1) as usize * SUB_BUCKETS;

/// The bucket of a time.
fn bucket(nanoseconds: u64) -> usize {
    let shift = (nanoseconds >> DIVISION).checked_ilog2().unwrap_or(0);
    shift as usize * SUB_BUCKETS + (nanoseconds >> shift) as usize
}

/// The longest time that goes into a bucket.
fn upper_edge(bucket: usize) -> u64 {
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    let first = ((bucket - shift * SUB_BUCKETS) as u64) << shift;
    first + ((1 << shift) - 1)
}

/// How many units took how long.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    /// An empty one. All the memory it will ever need is taken here.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0 }
    }

    /// Adds a unit.
    #[inline]
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanoseconds);
    }

    /// Adds all that another one has.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// The longest time, exactly; `None` if there is none.
    pub(crate) fn longest(&self) -> Option<Duration> {
        (self.total != 0).then(|| Duration::from_nanos(self.longest))
    }

    /// The time that `per_million` of a million units did not exceed: that of the nearest rank, rounded up to its bucket's
    /// edge. `None` if there are no units.
    pub(crate) fn percentile(&self, per_million: u64) -> Option<Duration> {
        let rank = (u128::from(self.total) * u128::from(per_million)).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        let found = self.counts.iter().position(|&count| {
            seen += u128::from(count);
            seen >= rank
        })?;
        Some(Duration::from_nanos(upper_edge(found).min(self.longest)))
    }
}

/// How long a run goes on.
#[derive(Clone, Copy)]
pub(crate) enum Length {
    /// So many units on each thread.
    Units(u64),
    /// Until so much time has passed.
    Time(Duration),
}

/// The units of one thread: asked between two of them whether another one follows, it reads the clock once.
pub(crate) struct Units {
    length: Length,
    done: u64,
    times: Option<(Instant, Instant)>,
    latency: Histogram,
}

impl Units {
    /// None has been done yet.
    pub(crate) fn new(length: Length) -> Self {
        Self { length, done: 0, times: None, latency: Histogram::new() }
    }

    /// Counts the unit that ends here, if it is not the first that begins, and says whether there is another one to do.
    #[inline]
    pub(crate) fn another(&mut self) -> bool {
        let now = Instant::now();
        let Some((start, last)) = &mut self.times else {
            self.times = Some((now, now));
            return !matches!(self.length, Length::Units(0));
        };
        // Since the last reading, so that a stall between two units counts.
        self.latency.record((now - *last).as_nanos() as u64);
        *last = now;
        self.done += 1;
        match self.length {
            Length::Units(units) => self.done < units,
            Length::Time(time) => now - *start < time,
        }
    }

    /// How many have been done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// When the first began and the last ended, and how long each took.
    pub(crate) fn end(self) -> (Option<(Instant, Instant)>, Histogram) {
        (self.times, self.latency)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS, Histogram, Length, Units, bucket, upper_edge};

    fn nanoseconds(time: Option<Duration>) -> u64 {
        time.expect("there are units").as_nanos() as u64
    }

    #[test]
    fn buckets_follow_one_another_and_are_narrow() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (first, last) = (next, upper_edge(index));
            assert!(
                first <= last && bucket(first) == index && bucket(last) == index,
                "bucket {index}: {first} to {last}"
            );
            let width = last - first + 1;
            assert!(width == 1 || width as f64 / (first as f64) < 0.001, "bucket {index} is {width} wide at {first}");
            next = last.wrapping_add(1);
        }
        // The last one ends with the last number there is.
        assert_eq!(next, 0);
    }

    #[test]
    fn percentiles_of_a_uniform_distribution() {
        let mut histogram = Histogram::new();
        for time in (1..=1_000_000).rev() {
            histogram.record(time);
        }
        for (per_million, exact) in [(0, 1), (1, 1), (1_000, 1_000), (500_000, 500_000), (999_999, 999_999)] {
            let found = nanoseconds(histogram.percentile(per_million));
            assert!((exact..=exact + exact / 1_000).contains(&found), "{per_million}: {found}, which is {exact}");
        }
        // Never above what was there.
        assert_eq!(nanoseconds(histogram.percentile(1_000_000)), 1_000_000);
        assert_eq!(nanoseconds(histogram.longest()), 1_000_000);
    }

    #[test]
    fn a_single_stall_is_the_longest_and_in_no_percentile_below_it() {
        let mut histogram = Histogram::new();
        for _ in 0..9_999 {
            histogram.record(7);
        }
        histogram.record(123_456_789);
        assert_eq!(nanoseconds(histogram.percentile(500_000)), 7);
        assert_eq!(nanoseconds(histogram.percentile(999_900)), 7);
        assert_eq!(nanoseconds(histogram.percentile(999_901)), 123_456_789);
        assert_eq!(nanoseconds(histogram.longest()), 123_456_789);
    }

    #[test]
    fn parts_merge_into_the_whole() {
        let mut parts = [(); 3].map(|()| Histogram::new());
        let mut whole = Histogram::new();
        for time in 0..30_000_u64 {
            parts[time as usize % 3].record(time * time);
            whole.record(time * time);
        }
        let mut merged = Histogram::new();
        parts.iter().for_each(|part| merged.merge(part));
        assert!(merged.counts == whole.counts);
        assert_eq!((merged.total, merged.longest), (whole.total, whole.longest));
    }

    #[test]
    fn nothing_has_no_percentiles() {
        let histogram = Histogram::new();
        assert_eq!((histogram.percentile(500_000), histogram.longest()), (None, None));
    }

    #[test]
    fn as_many_units_as_asked_for_are_done_and_timed() {
        for length in [0, 1, 5] {
            let mut units = Units::new(Length::Units(length));
            let mut count = 0;
            while units.another() {
                count += 1;
            }
            assert_eq!((count, units.done()), (length, length));
            let (times, latency) = units.end();
            assert!(times.is_some_and(|(start, end)| start <= end));
            assert_eq!(latency.total, length);
        }
    }

    #[test]
    fn a_run_by_time_does_one_unit_at_least() {
        let mut units = Units::new(Length::Time(Duration::ZERO));
        assert!(units.another() && !units.another());
        assert_eq!(units.done(), 1);
    }
}
