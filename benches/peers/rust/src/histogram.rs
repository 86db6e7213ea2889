//! Latencies, in a fixed log-linear histogram.

/// Buckets a power of two: each is less than a thousandth wide.
const LINEAR: u64 = 1024;
/// Powers of two above the first [`LINEAR`] nanoseconds, which have a bucket each; the last ends at five hours.
const POWERS: u64 = 34;

/// How often which latency occurred. The memory is taken at once and never grows.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    maximum: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; (LINEAR * (POWERS + 1)) as usize], total: 0, maximum: 0 }
    }
}

/// The bucket of a number of nanoseconds.
#[inline]
fn bucket(nanoseconds: u64) -> u64 {
    if nanoseconds < LINEAR {
        return nanoseconds;
    }
    let power = u64::from(nanoseconds.ilog2() - LINEAR.ilog2());
    let place = (power + 1) * LINEAR + (nanoseconds >> power) - LINEAR;
    place.min(LINEAR * (POWERS + 1) - 1)
}

/// The largest number of nanoseconds in a bucket.
fn upper_edge(bucket: u64) -> u64 {
    if bucket < LINEAR {
        return bucket;
    }
    let power = bucket / LINEAR - 1;
    ((bucket % LINEAR + LINEAR + 1) << power) - 1
}

impl Histogram {
    /// Counts a latency.
    #[inline]
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds) as usize] += 1;
        self.total += 1;
        self.maximum = self.maximum.max(nanoseconds);
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.maximum = self.maximum.max(other.maximum);
    }

    /// The latency, in microseconds, that a fraction of all does not exceed.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let rank = ((fraction * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in (0..).zip(&self.counts) {
            seen += count;
            if seen >= rank {
                return upper_edge(bucket).min(self.maximum) as f64 / 1e3;
            }
        }
        self.maximum()
    }

    /// The longest latency, exactly, in microseconds.
    pub fn maximum(&self) -> f64 {
        self.maximum as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_less_than_a_thousandth_wide_and_touch() {
        for bucket in LINEAR..LINEAR * (POWERS + 1) - 1 {
            let (below, edge) = (upper_edge(bucket - 1), upper_edge(bucket));
            assert!((edge - below) as f64 <= edge as f64 / 1e3 + 1.0, "{bucket}");
            assert_eq!((super::bucket(below + 1), super::bucket(edge)), (bucket, bucket));
        }
    }

    #[test]
    fn quantiles() {
        let mut all = Histogram::default();
        let mut others = Histogram::default();
        for nanoseconds in 1..=500 {
            all.record(nanoseconds);
            others.record(nanoseconds + 500);
        }
        others.record(u64::MAX);
        all.add(&others);
        assert_eq!(all.quantile(0.5), 0.501);
        assert_eq!(all.quantile(0.99), 0.991);
        assert_eq!(all.maximum(), u64::MAX as f64 / 1e3);
    }
}
