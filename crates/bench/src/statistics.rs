//! Figures, their medians, and ratios between them.

use std::collections::BTreeMap;

use serde::Serialize;

/// One quantity that was measured several times.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figure {
    /// For example `1/s`, `ms`, `MiB` or `1`.
    pub unit: &'static str,
    pub median: f64,
    pub samples: Vec<f64>,
}

/// A measured value and its goal.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ratio {
    pub name: String,
    pub value: f64,
    /// For example `>= 0.8`.
    pub goal: String,
    pub met: bool,
}

/// Results of one benchmark.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Report {
    pub cores: usize,
    pub busy: bool,
    /// Load averages before and after; empty where the system does not report them.
    pub load_before: String,
    pub load_after: String,
    pub figures: BTreeMap<String, Figure>,
    pub ratios: Vec<Ratio>,
}

impl Report {
    pub(super) fn add(&mut self, name: impl Into<String>, unit: &'static str, sample: f64) {
        let figure =
            self.figures.entry(name.into()).or_insert_with(|| Figure { unit, median: f64::NAN, samples: Vec::new() });
        figure.samples.push(sample);
        figure.median = median(&figure.samples);
    }

    pub(super) fn median(&self, name: &str) -> Option<f64> {
        self.figures.get(name).map(|figure| figure.median)
    }

    /// Compares `a / b` with a lower limit, if both were measured.
    pub(super) fn at_least(&mut self, a: &str, b: &str, limit: f64) {
        if let (Some(ours), Some(floor)) = (self.median(a), self.median(b)) {
            let value = ours / floor;
            self.ratios.push(Ratio {
                name: format!("{a} / {b}"),
                value,
                goal: format!(">= {limit}"),
                met: value >= limit,
            });
        }
    }

    /// Compares a figure with an upper limit, if it was measured.
    pub(super) fn at_most(&mut self, name: &str, limit: f64) {
        if let Some(value) = self.median(name) {
            self.ratios.push(Ratio { name: name.to_owned(), value, goal: format!("<= {limit}"), met: value <= limit });
        }
    }
}

pub(super) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// Value below which 99 of 100 samples lie.
pub(super) fn percentile_99(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_do_not_mind_outliers() {
        assert_eq!(median(&[3.0, 1.0, 1000.0]), 3.0);
        assert_eq!(median(&[4.0, 2.0]), 3.0);
        assert!(median(&[]).is_nan());
        let many: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(percentile_99(&many), 198.0);
    }

    #[test]
    fn ratios_are_of_medians_and_only_of_what_was_measured() {
        let mut report = Report::default();
        for sample in [8.0, 9.0, 100.0] {
            report.add("chain", "1/s", sample);
        }
        report.add("floor", "1/s", 10.0);
        report.at_least("chain", "floor", 0.8);
        report.at_least("chain", "nothing", 0.8);
        report.at_most("chain", 8.0);
        let seen: Vec<(f64, bool)> = report.ratios.iter().map(|ratio| (ratio.value, ratio.met)).collect();
        assert_eq!(seen, [(0.9, true), (9.0, false)]);
    }
}
