//! The rows of a step, column by column.

use std::collections::BTreeMap;

use stepwell_base::protocol::Measurement;

/// Columns that every training has, in the order in which people read them; other names come after `loss`.
const LATER: [&str; 8] = [
    "z_loss",
    "learning_rate",
    "grad_norm",
    "tokens_so_far",
    "tokens_per_second",
    "mfu",
    "data_wait_seconds",
    "memory_bytes",
];
const FIRST: &str = "loss";

/// Rows in order of their steps. A row may lack any of the names.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Series {
    steps: Vec<u64>,
    columns: BTreeMap<String, Vec<Option<f64>>>,
}

/// What one name of a series comes to.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// Rows that have the name.
    pub rows: usize,
    pub first: f64,
    pub last: f64,
    /// The smallest number and its step; `None` if no row has a number.
    pub minimum: Option<(f64, u64)>,
    /// Rows that are no number, and the step of the first.
    pub not_numbers: Option<(usize, u64)>,
}

impl Series {
    /// Appends a row. A row for a step that is there already, or for an earlier one, replaces all from there on: a fork
    /// reports them again.
    pub fn push(&mut self, row: Measurement) {
        let kept = self.steps.partition_point(|step| *step < row.train_step);
        if kept < self.steps.len() {
            self.steps.truncate(kept);
            self.columns.values_mut().for_each(|column| column.truncate(kept));
        }
        self.steps.push(row.train_step);
        for (name, value) in row.values {
            let column = self.columns.entry(name).or_default();
            column.resize(kept, None);
            column.push(Some(value));
        }
    }

    /// Keeps the last rows.
    pub fn keep_last(&mut self, most: usize) {
        let len = self.steps.len();
        let drop = len.saturating_sub(most);
        self.steps.drain(..drop);
        for column in self.columns.values_mut() {
            column.resize(len, None);
            column.drain(..drop);
        }
        self.columns.retain(|_, column| column.iter().any(Option::is_some));
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.steps.len()
    }

    pub fn step(&self, row: usize) -> u64 {
        self.steps.get(row).copied().unwrap_or(0)
    }

    pub fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// The names of all columns, the most telling first.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.columns.keys().map(String::as_str).collect();
        names.sort_by_key(|name| rank(name));
        names
    }

    /// The value of a name in a row; `None` if the row lacks it.
    pub fn value(&self, name: &str, row: usize) -> Option<f64> {
        self.columns.get(name)?.get(row).copied().flatten()
    }

    /// The rows that have a name, as steps and values.
    pub fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let Some(column) = self.columns.get(name) else { return Vec::new() };
        let rows = self.steps.iter().zip(column);
        rows.filter_map(|(step, value)| Some((*step as f64, (*value)?))).collect()
    }

    pub fn summary(&self, name: &str) -> Option<Summary> {
        let column = self.columns.get(name)?;
        let mut found: Option<Summary> = None;
        for (step, value) in self.steps.iter().zip(column).filter_map(|(step, value)| Some((*step, (*value)?))) {
            let summary =
                found.get_or_insert(Summary { rows: 0, first: value, last: value, minimum: None, not_numbers: None });
            summary.rows += 1;
            summary.last = value;
            if !value.is_finite() {
                summary.not_numbers = Some(summary.not_numbers.map_or((1, step), |(count, at)| (count + 1, at)));
            } else if summary.minimum.is_none_or(|(minimum, _)| value < minimum) {
                summary.minimum = Some((value, step));
            }
        }
        found
    }
}

/// Sorts names: `loss`, then those of validation and of programs, then what a training always has, then layers.
pub(super) fn rank(name: &str) -> (usize, String) {
    let place = match name {
        FIRST => 0,
        layer if layer.contains('/') => LATER.len() + 2,
        name => LATER.iter().position(|later| *later == name).map_or(1, |at| at + 2),
    };
    (place, name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(train_step: u64, values: &[(&str, f64)]) -> Measurement {
        Measurement { train_step, values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect() }
    }

    fn series(rows: impl IntoIterator<Item = Measurement>) -> Series {
        let mut series = Series::default();
        rows.into_iter().for_each(|row| series.push(row));
        series
    }

    #[test]
    fn rows_may_lack_names() {
        let mut series = series([
            row(1, &[("loss", 3.0)]),
            row(2, &[("loss", 2.0), ("val", f64::NAN)]),
            row(3, &[("loss", 2.5)]),
            row(4, &[("val", 7.0), ("learning_rate", 0.1)]),
        ]);
        assert_eq!(series.names(), ["loss", "val", "learning_rate"]);
        assert_eq!(series.points("val")[1], (4.0, 7.0));
        assert_eq!((series.value("loss", 3), series.value("val", 0), series.value("val", 2)), (None, None, None));
        let loss = series.summary("loss").unwrap();
        assert_eq!((loss.rows, loss.first, loss.last, loss.minimum), (3, 3.0, 2.5, Some((2.0, 2))));
        assert_eq!(series.summary("val").unwrap().not_numbers, Some((1, 2)));
        series.keep_last(1);
        assert_eq!((series.rows(), series.names()), (1, vec!["val", "learning_rate"]));
    }

    #[test]
    fn a_later_part_replaces_what_it_reports_again() {
        let mut series = series((1..=5).map(|step| row(step, &[("loss", 1.0), ("old", 1.0)])));
        series.push(row(4, &[("loss", 9.0), ("new", 2.0)]));
        assert_eq!(series.points("loss").last(), Some(&(4.0, 9.0)));
        assert_eq!((series.rows(), series.points("old").len(), series.points("new")), (4, 3, vec![(4.0, 2.0)]));
    }
}
