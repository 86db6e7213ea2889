//! Plots, as SVG: bars for the time an operation takes, and curves for latencies.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::summary::{COLUMNS, Summary};
use super::tables::{heading, number};

/// The columns of latencies, first to last.
const LATENCIES: std::ops::RangeInclusive<usize> = 4..=8;
const WIDTH: u32 = 760;
const INK: RGBColor = RGBColor(40, 40, 40);
/// Linchpin's, and those of the others by turns; they can be told apart by who sees few colours, too.
const COLOURS: [RGBColor; 9] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(110, 110, 110),
    RGBColor(170, 150, 0),
    RGBColor(120, 80, 40),
    RGBColor(150, 150, 200),
];

type Area<'text> = DrawingArea<SVGBackend<'text>, Shift>;

/// A plot, and the name of its file.
pub(super) struct Plot {
    pub(super) file: String,
    pub(super) what: String,
    pub(super) svg: String,
}

/// All plots of a table: one, and another one if it has latencies.
pub(super) fn of(summary: &Summary) -> Result<Vec<Plot>> {
    let mut plots = vec![Plot {
        file: format!("{}.svg", summary.slug),
        what: format!("{}: ns/op", heading(summary)),
        svg: drawn(40 + 26 * rows_with(summary, 0).len() as u32, |area| bars(summary, area))?,
    }];
    if !rows_with(summary, *LATENCIES.start()).is_empty() {
        plots.push(Plot {
            file: format!("{}-latency.svg", summary.slug),
            what: format!("{}: latencies", heading(summary)),
            svg: drawn(420, |area| latencies(summary, area))?,
        });
    }
    Ok(plots)
}

fn drawn(height: u32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    draw(&area)?;
    area.present().map_err(failed)?;
    drop(area);
    Ok(svg)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// The rows that have a figure, each with its number.
fn rows_with(summary: &Summary, column: usize) -> Vec<(usize, &str, f64)> {
    let rows = summary.rows.iter().enumerate();
    rows.filter_map(|(index, row)| Some((index, row.peer.as_str(), row.median(column)?))).collect()
}

fn colour(row: usize) -> RGBColor {
    COLOURS[row % COLOURS.len()]
}

fn write(area: &Area<'_>, text: &str, size: i32, place: (i32, i32)) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&INK);
    area.draw(&Text::new(text.to_owned(), place, style)).map_err(failed)
}

fn bars(summary: &Summary, area: &Area<'_>) -> Result<()> {
    const LEFT: i32 = 130;
    let rows = rows_with(summary, 0);
    let longest = rows.iter().map(|(.., time)| *time).fold(f64::MIN_POSITIVE, f64::max);
    write(area, &format!("{}: ns an operation", heading(summary)), 18, (10, 8))?;
    for (line, (index, peer, time)) in (0..).zip(rows) {
        let top = 36 + 26 * line;
        let end = LEFT + (time / longest * f64::from(WIDTH as i32 - LEFT - 150)) as i32;
        write(area, peer, 16, (10, top + 3))?;
        let bar = Rectangle::new([(LEFT, top), (end.max(LEFT + 1), top + 18)], colour(index).filled());
        area.draw(&bar).map_err(failed)?;
        let ratio = summary.ratio(&summary.rows[index], 0).map(|ratio| format!(" ({}x)", number(ratio)));
        write(area, &format!("{}{}", number(time), ratio.unwrap_or_default()), 16, (end + 8, top + 3))?;
    }
    Ok(())
}

fn latencies(summary: &Summary, area: &Area<'_>) -> Result<()> {
    let figures = |row: usize| LATENCIES.map(move |column| summary.rows[row].median(column));
    let all = || rows_with(summary, *LATENCIES.start()).into_iter();
    // A logarithmic axis has no zero.
    let floor = 0.01;
    let (mut least, mut most) = (f64::MAX, floor * 10.0);
    for figure in all().flat_map(|(row, ..)| figures(row)).flatten() {
        (least, most) = (least.min(figure.max(floor)), most.max(figure));
    }
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}: microseconds a unit", heading(summary)), ("sans-serif", 18).into_font().color(&INK))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(-0.2..4.2_f64, (least / 2.0..most * 2.0).log_scale())
        .map_err(failed)?;
    let percentile = |place: &f64| {
        let column = LATENCIES.start() + place.round() as usize;
        let is_one = (place - place.round()).abs() < 1e-6 && LATENCIES.contains(&column);
        if is_one { COLUMNS[column].title.trim_end_matches(" us").to_owned() } else { String::new() }
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(5)
        .x_label_formatter(&percentile)
        .label_style(("sans-serif", 15).into_font().color(&INK))
        .y_label_formatter(&|figure| number(*figure))
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for (row, peer, _) in all() {
        let places = [0.0, 1.0, 2.0, 3.0, 4.0].into_iter().zip(figures(row));
        let points: Vec<_> = places.filter_map(|(place, figure)| Some((place, figure?.max(floor)))).collect();
        let style = colour(row).stroke_width(if row == 0 { 3 } else { 2 });
        let line = LineSeries::new(points, style).point_size(3);
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style);
        chart.draw_series(line).map_err(failed)?.label(peer).legend(sample);
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 16).into_font().color(&INK))
        .draw()
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::example;
    use super::*;

    #[test]
    fn plots_show_each_program_that_has_figures() {
        let plots = of(&example()).unwrap();
        let files: Vec<&str> = plots.iter().map(|plot| plot.file.as_str()).collect();
        assert_eq!(files, ["trees-depth-18-2.svg", "trees-depth-18-2-latency.svg"]);
        for Plot { svg, .. } in &plots {
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("Linchpin") && svg.contains("Slow &lt;&amp;&gt; steady") && !svg.contains("Unable"));
        }
        assert!(plots[0].svg.contains("24.0 (2.00x)"));
    }
}
