//! Figures of a measurement as text for people.

use crate::view::output::table;
use stepwell_bench::Report;

pub fn human(report: &Report) -> String {
    let figures = report.figures.iter().map(|(name, figure)| {
        let least = figure.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = figure.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        vec![name.clone(), number(figure.median), figure.unit.to_owned(), number(least), number(most)]
    });
    let mut text = table(&["measured", "median", "unit", "least", "most"], figures.collect());
    let ratios = report.ratios.iter().map(|ratio| {
        let verdict = if ratio.met { "met" } else { "missed" };
        vec![ratio.name.clone(), number(ratio.value), ratio.goal.clone(), verdict.to_owned()]
    });
    text.push('\n');
    text.push_str(&table(&["goal", "value", "limit", ""], ratios.collect()));
    let busy = if report.busy { ", all kept busy" } else { "" };
    text.push_str(&format!(
        "\n{} cores{busy}; load before: {}; after: {}",
        report.cores, report.load_before, report.load_after
    ));
    text
}

/// Rounds to about three figures; noise exceeds the rest.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
