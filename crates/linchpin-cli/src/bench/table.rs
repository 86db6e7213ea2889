//! Tables: columns without borders, as on a page of a commit message.

use comfy_table::{CellAlignment, Table, presets};

use super::results::{Metric, Results};
use super::stats::{self, SIGNIFICANT};

/// The benchmark names that both `old` and `new` have, in the order of `old`.
pub(crate) fn common_names<'results>(old: &'results Results, new: &Results) -> Vec<&'results str> {
    old.names().filter(|&name| new.get(name).is_some()).collect()
}

/// The three tables that compare `old` with `new`: time, bytes and allocations an operation.
/// A metric that no common benchmark has on both sides has no table. If there are too few samples
/// for any difference to count, a line says so.
pub(crate) fn comparison(old: &Results, new: &Results) -> String {
    let tables: Vec<String> = Metric::ALL.into_iter().filter_map(|metric| comparison_of(metric, old, new)).collect();
    let mut text = tables.join("\n");
    let enough = |name: &str| {
        let count = |results: &Results| results.get(name).map_or(0, <[_]>::len);
        stats::least_p(count(old), count(new)) < SIGNIFICANT
    };
    if !common_names(old, new).into_iter().any(enough) {
        text.push_str("\n~ throughout: with so few samples any difference may be chance (--count 5)\n");
    }
    text
}

fn comparison_of(metric: Metric, old: &Results, new: &Results) -> Option<String> {
    let title = metric.title();
    let mut rows = Vec::new();
    let (mut old_medians, mut new_medians) = (Vec::new(), Vec::new());
    for name in common_names(old, new) {
        let old = metric.values(old.get(name).unwrap_or_default());
        let new = metric.values(new.get(name).unwrap_or_default());
        if old.is_empty() || new.is_empty() {
            continue;
        }
        old_medians.push(stats::median(&old));
        new_medians.push(stats::median(&new));
        let (delta, note) = difference(&old, &new);
        rows.push(vec![name.to_owned(), with_spread(metric, &old), with_spread(metric, &new), delta, note]);
    }
    if rows.is_empty() {
        return None;
    }
    let means = (stats::geometric_mean(&old_medians), stats::geometric_mean(&new_medians));
    if let (Some(old), Some(new), true) = (means.0, means.1, rows.len() > 1) {
        rows.push(vec![
            "[Geo mean]".to_owned(),
            // The width of a spread, so that the numbers stand under the others.
            format!("{}     ", metric.show(old)),
            format!("{}     ", metric.show(new)),
            percentage(old, new),
            String::new(),
        ]);
    }
    Some(render(&["name", &format!("old {title}"), &format!("new {title}"), "delta", ""], rows))
}

/// The change of the median, if it is no chance, and the test's p-value with the sample counts.
fn difference(old: &[f64], new: &[f64]) -> (String, String) {
    let Some(p) = stats::mann_whitney_p(old, new) else {
        return ("~".to_owned(), "(all equal)".to_owned());
    };
    let note = format!("(p={p:.3} n={}+{})", old.len(), new.len());
    if p >= SIGNIFICANT {
        return ("~".to_owned(), note);
    }
    (percentage(stats::median(old), stats::median(new)), note)
}

fn percentage(old: f64, new: f64) -> String {
    if old == new {
        return "0.00%".to_owned();
    }
    if old == 0.0 {
        return "+inf%".to_owned();
    }
    format!("{:+.2}%", (new / old - 1.0) * 100.0)
}

/// The median and the greatest distance from it, both of fixed width at the end.
fn with_spread(metric: Metric, values: &[f64]) -> String {
    let centre = stats::median(values);
    format!("{} {}", metric.show(centre), spread_of(values))
}

/// The greatest distance from the median in percent; there is no percentage of a median of zero.
pub(crate) fn spread_of(values: &[f64]) -> String {
    let spread = stats::spread(values);
    if spread.is_finite() { format!("±{:>2.0}%", spread * 100.0) } else { "± ∞%".to_owned() }
}

/// The comparison with Go: medians of both sides by name, and how many times as long Go takes.
pub(crate) fn beside_go(go: &Results, ours: &Results) -> String {
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for name in common_names(go, ours) {
        let (go, ours) = (go.get(name).unwrap_or_default(), ours.get(name).unwrap_or_default());
        let go_time = Metric::Time.values(go);
        let our_time = Metric::Time.values(ours);
        let ratio = stats::median(&go_time) / stats::median(&our_time);
        ratios.push(ratio);
        rows.push(vec![
            name.to_owned(),
            with_spread(Metric::Time, &go_time),
            with_spread(Metric::Time, &our_time),
            times(ratio),
            median_of(Metric::Bytes, go),
            median_of(Metric::Bytes, ours),
            median_of(Metric::Allocations, go),
            median_of(Metric::Allocations, ours),
        ]);
    }
    if let Some(mean) = stats::geometric_mean(&ratios) {
        let mut row = vec![String::new(); 8];
        row[0] = "[Geo mean]".to_owned();
        row[3] = times(mean);
        rows.push(row);
    }
    render(&["name", "Go", "Linchpin", "Go / Linchpin", "Go B/op", "ours", "Go allocs/op", "ours"], rows)
}

fn median_of(metric: Metric, samples: &[super::results::Sample]) -> String {
    let values = metric.values(samples);
    if values.is_empty() { "-".to_owned() } else { metric.show(stats::median(&values)) }
}

/// A ratio as a reader says it: "7.50x".
pub(crate) fn times(ratio: f64) -> String {
    let decimals = if ratio >= 9.995 { 1 } else { 2 };
    format!("{ratio:.decimals$}x")
}

/// Lays out `rows` under `heads`; the first column and an unnamed last one go left, the others right.
pub(crate) fn render(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(heads);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 && !heads[index].is_empty() {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{beside_go, common_names, comparison, spread_of, times};
    use crate::bench::go_format::parse;

    fn lines(name: &str, times: &[f64], bytes: u64) -> String {
        let line = |time: &f64| format!("Benchmark{name} 10 {time} ns/op {bytes} B/op 0 allocs/op\n");
        times.iter().map(line).collect()
    }

    #[test]
    fn a_comparison_shows_deltas_and_their_certainty() {
        let old = parse(
            &(lines("Fast", &[100.0, 101.0, 99.0, 100.0, 102.0], 144) + &lines("Same", &[5.0, 6.0, 5.5, 5.2, 5.1], 0)),
        );
        let new =
            parse(&(lines("Fast", &[10.0, 10.1, 9.9, 10.0, 10.2], 0) + &lines("Same", &[5.1, 5.9, 5.6, 5.2, 5.0], 0)));
        let text = comparison(&old, &new);
        let row = |head: &str, name: &str| {
            let table = text.split_once(head).unwrap().1;
            table.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
        };
        assert_eq!(row("time/op", "Fast"), "Fast         100ns ± 2%  10.0ns ± 2%  -90.00%  (p=0.008 n=5+5)");
        assert!(row("time/op", "Same").contains("  ~  (p="));
        assert!(row("time/op", "[Geo mean]").contains('%'));
        assert!(row("alloc/op", "Fast").contains("144B ± 0%") && row("alloc/op", "Fast").contains("-100.00%"));
        assert!(row("alloc/op", "Same").ends_with("~  (all equal)"));
        assert_eq!(text.matches("[Geo mean]").count(), 1);
        assert_eq!(text.matches("name").count(), 3);
        assert!(!text.contains("so few samples"));
    }

    #[test]
    fn spreads() {
        assert_eq!(spread_of(&[100.0, 103.0, 101.0]), "± 2%");
        assert_eq!(spread_of(&[0.0, 0.0]), "± 0%");
        assert_eq!(spread_of(&[0.0, 0.0, 1.0]), "± ∞%");
    }

    #[test]
    fn metrics_that_were_not_measured_have_no_table() {
        let results = parse("BenchmarkX 10 5 ns/op\n");
        let text = comparison(&results, &results);
        assert!(text.contains("time/op") && !text.contains("alloc"));
        assert!(text.contains("so few samples"));
    }

    #[test]
    fn ratios_to_go() {
        let go = parse(&(lines("A", &[90.0], 144) + &lines("OnlyGo", &[1.0], 0)));
        let ours = parse(&lines("A", &[9.0], 0));
        assert_eq!(common_names(&go, &ours), ["A"]);
        let text = beside_go(&go, &ours);
        assert!(text.contains("10.0x") && text.contains("144B") && !text.contains("OnlyGo"));
        assert_eq!(times(7.25), "7.25x");
    }
}
