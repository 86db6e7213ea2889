//! Medians, and their ratios to Linchpin's.

use anyhow::Result;

use super::cases::Case;
use super::programs::{LINCHPIN, Peer};
use super::runs::Line;

/// A figure of the tables.
pub(super) struct Column {
    /// Its key in the line of JSON.
    pub(super) key: &'static str,
    /// How it is called.
    pub(super) title: &'static str,
    /// Whether its ratio to Linchpin's says something.
    pub(super) has_ratio: bool,
}

const fn column(key: &'static str, title: &'static str, has_ratio: bool) -> Column {
    Column { key, title, has_ratio }
}

/// All of them, in order.
pub(super) const COLUMNS: [Column; 10] = [
    column("ns_op", "ns/op", true),
    column("cpu_s", "CPU s", true),
    column("rss_mb", "peak MB", true),
    column("cycles", "cycles", false),
    column("p50", "p50 us", true),
    column("p99", "p99 us", true),
    column("p999", "p99.9 us", true),
    column("p9999", "p99.99 us", true),
    column("max", "max us", true),
    column("wait_max_us", "longest wait us", false),
];

/// What all rounds of a program came to.
pub(super) struct Row {
    /// Which program.
    pub(super) peer: String,
    /// Why it cannot express the workload, if it cannot.
    pub(super) cannot: Option<String>,
    /// The samples of each column; one that is unknown is left out.
    samples: [Vec<f64>; COLUMNS.len()],
}

impl Row {
    /// The median of a column, if it has any figures.
    pub(super) fn median(&self, column: usize) -> Option<f64> {
        median(&self.samples[column])
    }

    /// By how many percent of the median the times an operation took lie apart.
    pub(super) fn spread(&self) -> Option<f64> {
        let times = &self.samples[0];
        let (least, most) =
            times.iter().fold((f64::MAX, f64::MIN), |(least, most), time| (least.min(*time), most.max(*time)));
        median(times).map(|median| (most - least) / median * 100.0)
    }
}

/// A workload in one size on so many threads.
pub(super) struct Summary {
    /// Workload and size.
    pub(super) title: String,
    /// The same for a file's name.
    pub(super) slug: String,
    /// On how many threads.
    pub(super) threads: u64,
    /// The most rounds of a program.
    pub(super) rounds: usize,
    /// Whether the programs went on for a time, instead of doing the same work.
    pub(super) by_time: bool,
    /// A row for each program that was asked, Linchpin's first.
    pub(super) rows: Vec<Row>,
    /// What is to be said about rows that have figures.
    remarks: Vec<(String, &'static str)>,
}

impl Summary {
    /// Without any figures.
    pub(super) fn new(case: &Case, threads: u64, peers: &[Peer]) -> Summary {
        let asked = || peers.iter().filter(|peer| peer.takes_part_in(case.workload));
        Summary {
            title: case.title.clone(),
            slug: format!("{}-{threads}", case.slug),
            threads,
            rounds: 0,
            by_time: case.checked.is_some(),
            rows: asked()
                .map(|peer| Row { peer: peer.name.clone(), cannot: None, samples: Default::default() })
                .collect(),
            remarks: asked()
                .filter_map(|peer| Some((peer.name.clone(), (peer.remark)(case.workload, threads)?)))
                .collect(),
        }
    }

    fn row(&mut self, peer: &str) -> &mut Row {
        self.rows.iter_mut().find(|row| row.peer == peer).expect("each program that is asked has a row")
    }

    /// Adds what a round of a program came to.
    pub(super) fn add(&mut self, peer: &str, line: &Line) -> Result<()> {
        let row = self.row(peer);
        for (samples, column) in row.samples.iter_mut().zip(&COLUMNS) {
            samples.extend(line.figure(column.key)?);
        }
        let rounds = row.samples[0].len();
        self.rounds = self.rounds.max(rounds);
        Ok(())
    }

    /// Notes that a program cannot express this.
    pub(super) fn cannot_express(&mut self, peer: &str, why: String) {
        self.row(peer).cannot = Some(why);
    }

    /// The columns that any program has a figure in.
    pub(super) fn columns(&self) -> Vec<usize> {
        (0..COLUMNS.len()).filter(|column| self.rows.iter().any(|row| row.median(*column).is_some())).collect()
    }

    /// A program's median over Linchpin's. Processor time is compared where all did the same work.
    pub(super) fn ratio(&self, row: &Row, column: usize) -> Option<f64> {
        if !COLUMNS[column].has_ratio || (self.by_time && COLUMNS[column].key == "cpu_s") || row.peer == LINCHPIN {
            return None;
        }
        let ours = self.rows.iter().find(|row| row.peer == LINCHPIN)?.median(column)?;
        Some(row.median(column)? / ours).filter(|ratio| ratio.is_finite())
    }

    /// What is to be said about the rows.
    pub(super) fn remarks(&self) -> impl Iterator<Item = &'static str> {
        let has_figures = |peer: &str| self.rows.iter().any(|row| row.peer == peer && row.median(0).is_some());
        let remarks = self.remarks.iter().filter(move |(peer, _)| has_figures(peer));
        remarks.map(|(_, remark)| *remark)
    }
}

/// The middle of some figures, or the mean of the two in the middle.
pub(super) fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::super::cases;
    use super::super::runs::tests::line;
    use super::*;

    /// Three rounds of Linchpin and of a peer that takes twice as long, and a peer that can do nothing.
    pub(in crate::peers) fn example() -> Summary {
        let peers = [LINCHPIN, "Slow <&> steady", "Unable"].map(|name| Peer::for_test(name, Path::new("none")));
        let mut summary = Summary::new(&cases::all(false, 1)[0], 2, &peers);
        for time in [12.0, 10.0, 20.0] {
            summary.add(LINCHPIN, &line(time, 1, 1)).unwrap();
            summary.add("Slow <&> steady", &line(2.0 * time, 1, 1)).unwrap();
        }
        summary.cannot_express("Unable", "no <threads>".to_owned());
        summary
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_those_of_medians_to_ours() {
        let mut summary = example();
        let [ours, slow, unable] = &summary.rows[..] else { panic!("three rows") };
        assert_eq!((ours.median(0), slow.median(0), unable.median(0)), (Some(12.0), Some(24.0), None));
        assert_eq!(ours.spread().map(f64::round), Some(83.0));
        assert_eq!(summary.ratio(slow, 0), Some(2.0));
        assert_eq!(summary.ratio(slow, 1), Some(1.0));
        assert_eq!(summary.ratio(ours, 0), None);
        assert_eq!(summary.ratio(unable, 0), None);
        assert_eq!(summary.rounds, 3);
        // ns/op, processor time, memory and p50; the others are unknown.
        assert_eq!(summary.columns(), [0, 1, 2, 4]);
        summary.by_time = true;
        assert_eq!(summary.ratio(&summary.rows[1], 1), None);
    }
}
