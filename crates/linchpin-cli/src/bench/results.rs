//! What benchmarks measured: samples by name, whoever took them.

/// One run of one benchmark, per operation. Bytes and allocations are whole numbers, rounded
/// down, as in Go's own reports; a file made without `-benchmem` has none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// How many operations the run made.
    pub(crate) iterations: u64,
    /// Wall time an operation, in nanoseconds.
    pub(crate) nanoseconds: f64,
    /// Bytes allocated an operation.
    pub(crate) bytes: Option<u64>,
    /// Allocations an operation.
    pub(crate) allocations: Option<u64>,
}

/// Samples by benchmark name, in the order in which the names came.
#[derive(Default)]
pub(crate) struct Results {
    rows: Vec<(String, Vec<Sample>)>,
}

impl Results {
    /// Adds one sample under `name`.
    pub(crate) fn push(&mut self, name: &str, sample: Sample) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(sample),
            None => self.rows.push((name.to_owned(), vec![sample])),
        }
    }

    /// Adds every sample of `other`.
    pub(crate) fn extend(&mut self, other: Results) {
        for (name, samples) in other.rows {
            for sample in samples {
                self.push(&name, sample);
            }
        }
    }

    /// The samples taken under `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&[Sample]> {
        self.rows.iter().find(|(known, _)| known == name).map(|(_, samples)| &samples[..])
    }

    /// The names, in the order in which they came.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|(name, _)| &name[..])
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// One of the three things a benchmark reports.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Metric {
    /// Nanoseconds an operation.
    Time,
    /// Bytes an operation.
    Bytes,
    /// Allocations an operation.
    Allocations,
}

impl Metric {
    /// All three, in the order of the tables.
    pub(crate) const ALL: [Metric; 3] = [Metric::Time, Metric::Bytes, Metric::Allocations];

    /// The words over its columns.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Metric::Time => "time/op",
            Metric::Bytes => "alloc/op",
            Metric::Allocations => "allocs/op",
        }
    }

    /// Its values in `samples`; none where they were not measured.
    pub(crate) fn values(self, samples: &[Sample]) -> Vec<f64> {
        samples
            .iter()
            .filter_map(|sample| match self {
                Metric::Time => Some(sample.nanoseconds),
                Metric::Bytes => sample.bytes.map(|bytes| bytes as f64),
                Metric::Allocations => sample.allocations.map(|count| count as f64),
            })
            .collect()
    }

    /// A value with its unit, in three significant digits.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Metric::Time => scaled(value, &["ns", "µs", "ms", "s"]),
            Metric::Bytes => scaled(value, &["B", "kB", "MB", "GB"]),
            Metric::Allocations => scaled(value, &["", "k", "M", "G"]),
        }
    }
}

/// `value` in the greatest of the units, each a thousand of the one before, that leaves at least
/// one before the point; three significant digits, but nothing after the point of a whole count.
fn scaled(value: f64, units: &[&str]) -> String {
    let mut scaled = value;
    let mut index = 0;
    // 999.5 would print as 1000, so it already belongs to the next unit.
    while scaled >= 999.5 && index + 1 < units.len() {
        scaled /= 1000.0;
        index += 1;
    }
    let is_count = units[0] != "ns" && index == 0 && value.fract() == 0.0;
    let decimals = if is_count || value == 0.0 || scaled >= 99.95 {
        0
    } else if scaled >= 9.995 {
        1
    } else {
        2
    };
    format!("{scaled:.decimals$}{}", units[index])
}

#[cfg(test)]
mod tests {
    use super::{Metric, Results, Sample};

    #[test]
    fn values_have_three_digits_and_a_fitting_unit() {
        assert_eq!(Metric::Time.show(3.652), "3.65ns");
        assert_eq!(Metric::Time.show(44.88), "44.9ns");
        assert_eq!(Metric::Time.show(132.0), "132ns");
        assert_eq!(Metric::Time.show(999.7), "1.00µs");
        assert_eq!(Metric::Time.show(57_515.0), "57.5µs");
        assert_eq!(Metric::Time.show(2.5e9), "2.50s");
        assert_eq!(Metric::Bytes.show(0.0), "0B");
        assert_eq!(Metric::Bytes.show(64.0), "64B");
        assert_eq!(Metric::Bytes.show(20_592.0), "20.6kB");
        assert_eq!(Metric::Allocations.show(8.0), "8");
        assert_eq!(Metric::Allocations.show(8.5), "8.50");
    }

    #[test]
    fn names_keep_their_order_and_samples_their_row() {
        let mut results = Results::default();
        for (name, nanoseconds) in [("B", 1.0), ("A", 2.0), ("B", 3.0)] {
            let sample = Sample { iterations: 1, nanoseconds, bytes: None, allocations: Some(1) };
            results.push(name, sample);
        }
        assert_eq!(results.names().collect::<Vec<_>>(), ["B", "A"]);
        assert_eq!(Metric::Time.values(results.get("B").unwrap()), [1.0, 3.0]);
        assert!(Metric::Bytes.values(results.get("B").unwrap()).is_empty());
    }
}
