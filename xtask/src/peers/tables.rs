//! Tables in Markdown, which are read in a terminal, too.

use std::fmt::Write;

use super::summary::{COLUMNS, Summary};

/// A number with three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The cells, the head first.
pub(super) fn cells(summary: &Summary) -> Vec<Vec<String>> {
    let columns = summary.columns();
    let mut head: Vec<String> = columns.iter().map(|column| COLUMNS[*column].title.to_owned()).collect();
    head.insert(0, String::new());
    // Behind the time an operation takes.
    let place = head.len().min(2);
    head.insert(place, "spread".to_owned());
    let mut table = vec![head];
    for row in &summary.rows {
        let mut cells = vec![row.peer.clone()];
        for &column in &columns {
            cells.push(match (row.median(column), summary.ratio(row, column)) {
                (None, _) => "-".to_owned(),
                (Some(median), _) if COLUMNS[column].key == "cycles" => format!("{median:.0}"),
                (Some(median), None) => number(median),
                (Some(median), Some(ratio)) => format!("{} ({}x)", number(median), number(ratio)),
            });
        }
        let spread = row.spread().map_or_else(|| "-".to_owned(), |spread| format!("{spread:.0} %"));
        cells.insert(place, spread);
        table.push(cells);
    }
    table
}

/// What stands below a table, a line each.
pub(super) fn notes(summary: &Summary) -> Vec<String> {
    let mut notes: Vec<String> = summary.remarks().map(str::to_owned).collect();
    for row in &summary.rows {
        notes.extend(row.cannot.as_ref().map(|why| format!("{}: -, {why}.", row.peer)));
    }
    notes
}

/// A table's head line.
pub(super) fn heading(summary: &Summary) -> String {
    let threads = if summary.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", summary.threads) };
    format!("{}, {threads} (n={})", summary.title, summary.rounds)
}

/// The whole of it.
pub(super) fn render(summary: &Summary) -> String {
    let table = cells(summary);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    let mut text = format!("### {}\n\n", heading(summary));
    for (index, row) in table.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            _ = if column == 0 { write!(text, "| {cell:width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (line, end) = ("-".repeat(width - 1), if column == 0 { '-' } else { ':' });
                _ = write!(text, "| {line}{end} ");
            }
            text.push_str("|\n");
        }
    }
    for note in notes(summary) {
        _ = write!(text, "\n{note}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::example;
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.0, 0.125, 7.256, 9.996, 35.25, 99.96, 20_370.4].map(number);
        assert_eq!(numbers, ["0.00", "0.12", "7.26", "10.0", "35.2", "100", "20370"]);
    }

    #[test]
    fn a_table() {
        let expected = "\
### trees, depth 18, 2 threads (n=3)

|                 |        ns/op | spread |        CPU s |      peak MB |       p50 us |
| --------------- | -----------: | -----: | -----------: | -----------: | -----------: |
| Linchpin        |         12.0 |   83 % |         0.75 |         8.50 |         1.50 |
| Slow <&> steady | 24.0 (2.00x) |   83 % | 0.75 (1.00x) | 8.50 (1.00x) | 1.50 (1.00x) |
| Unable          |            - |      - |            - |            - |            - |

Unable: -, no <threads>.
";
        assert_eq!(render(&example()), expected);
    }
}
