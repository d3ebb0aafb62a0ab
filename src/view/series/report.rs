//! Series as people see them: a curve, what it comes to, and the last rows.

use super::legend::Legend;
use super::lineage::Lineage;
use super::table::Series;
use crate::view::curve::{Charset, MARKS, Points, Size, number, plot};
use crate::view::output::{short_id, table};
use stepwell_base::ids::RunId;

/// Most names of one series in a table.
const MOST_NAMES: usize = 10;
/// Last rows in the table of one series, and its most columns.
const LAST_ROWS: usize = 4;
const MOST_COLUMNS: usize = 6;

/// A series with everything that its reader wants to know.
#[derive(Clone, PartialEq, Debug)]
pub struct Curve {
    pub run: RunId,
    pub legend: Legend,
    pub lineage: Lineage,
    pub series: Series,
}

/// The parts of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// A curve, tables, and notes.
    Full,
    /// The curve and its legend.
    Plot,
}

pub struct Report<'c> {
    pub curves: &'c [Curve],
    /// The name that is drawn.
    pub metric: &'c str,
    /// Curves that were left out.
    pub more: usize,
    pub view: View,
    pub size: Size,
    pub charset: Charset,
}

impl Report<'_> {
    pub fn text(&self) -> String {
        let mut text = self.heading();
        let points: Vec<Points> = self.curves.iter().map(|curve| curve.series.points(self.metric)).collect();
        match plot(&points, self.size, self.charset) {
            Some(drawn) => text.push_str(&drawn),
            None => text.push_str("  (no number to draw)\n"),
        }
        match self.curves {
            [curve] if self.view == View::Full => {
                text.push_str(&format!("\n{}\n{}", names(&curve.series), last_rows(&curve.series)));
            }
            [_] => {}
            _ => text.push_str(&format!("\n{}", self.legend())),
        }
        for note in self.notes() {
            text.push_str(&format!("{note}\n"));
        }
        text
    }

    fn heading(&self) -> String {
        match self.curves {
            [curve] => {
                let Legend { run, step, .. } = &curve.legend;
                let differences = self.differences().concat();
                let about = if differences.is_empty() { String::new() } else { format!("  ({differences})") };
                format!("{} of {step} in run {run}{about}\n", self.metric)
            }
            curves => format!("{} of {} series\n", self.metric, curves.len() + self.more),
        }
    }

    /// One line per curve: its mark, what it comes to, and what makes it different.
    fn legend(&self) -> String {
        let differences = self.differences();
        let rows = self.curves.iter().zip(differences).enumerate().map(|(index, (curve, difference))| {
            let mark = MARKS.get(index).map_or(" ".to_owned(), char::to_string);
            let mut row = vec![mark, curve.legend.run.clone(), short_id(curve.run), curve.legend.step.clone()];
            row.extend(numbers(&curve.series, self.metric));
            row.push(difference);
            row
        });
        table(&["mark", "run", "id", "step", "rows", "first", "last", "minimum", "at", "differs in"], rows.collect())
    }

    fn differences(&self) -> Vec<String> {
        let legends: Vec<Legend> = self.curves.iter().map(|curve| curve.legend.clone()).collect();
        Legend::differences(&legends)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for curve in self.curves {
            let name = &curve.legend.run;
            if let Some((run, at)) = curve.lineage.pruned {
                let at = at.strftime("%Y-%m-%d");
                notes.push(format!("{name}: earlier rows are gone: run {} was pruned on {at}", short_id(run)));
            }
            if let Some((count, at)) = curve.series.summary(self.metric).and_then(|summary| summary.not_numbers) {
                notes.push(match count {
                    1 => format!("{name}: {} is no number at step {at}", self.metric),
                    _ => format!("{name}: {} is no number in {count} rows, the first at step {at}", self.metric),
                });
            }
        }
        if self.more > 0 {
            notes.push(format!("and {} more series: choose with `--step STEP`, or print all with `--csv`", self.more));
        }
        notes
    }
}

/// Rows, first, last, minimum and its step.
fn numbers(series: &Series, name: &str) -> [String; 5] {
    let Some(summary) = series.summary(name) else { return Default::default() };
    let (minimum, at) = summary.minimum.map_or_else(Default::default, |(value, at)| (number(value), at.to_string()));
    [summary.rows.to_string(), number(summary.first), number(summary.last), minimum, at]
}

fn names(series: &Series) -> String {
    let names = series.names();
    let rows = names.iter().take(MOST_NAMES).map(|name| {
        let mut row = vec![(*name).to_owned()];
        row.extend(numbers(series, name));
        row
    });
    let mut text = table(&["metric", "rows", "first", "last", "minimum", "at"], rows.collect());
    if names.len() > MOST_NAMES {
        text.push_str(&format!("and {} more, with `--csv`\n", names.len() - MOST_NAMES));
    }
    text
}

fn last_rows(series: &Series) -> String {
    let names: Vec<&str> = series.names().into_iter().take(MOST_COLUMNS).collect();
    let header: Vec<&str> = std::iter::once("train_step").chain(names.iter().copied()).collect();
    let first = series.rows().saturating_sub(LAST_ROWS);
    let rows = (first..series.rows()).map(|row| {
        let values = names.iter().map(|name| series.value(name, row).map(number).unwrap_or_default());
        std::iter::once(series.step(row).to_string()).chain(values).collect()
    });
    table(&header, rows.collect())
}
