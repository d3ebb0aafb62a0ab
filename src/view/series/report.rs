//! Series as people see them: a curve, what it comes to, and the last rows.

use super::legend::Legend;
use super::lineage::Lineage;
use super::table::Series;
use crate::view::curve::{Charset, MARKS, Points, Size, number, plot};
use crate::view::output::{short_id, table};
use stepwell_base::ids::RunId;

/// Most names of one series in a table.
const MOST_NAMES: usize = 10;
/// Most notes on curves.
const MOST_NOTES: usize = 5;
/// Last rows in the table of one series, and the characters of a number in it.
const LAST_ROWS: usize = 4;
const NUMBER: usize = 10;
const LOSS: &str = "loss";
const VAL_LOSS: &str = "val_loss";

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
        let mut points: Vec<Points> = self.curves.iter().map(|curve| curve.series.points(self.metric)).collect();
        let companion = self.companion();
        points.extend(companion.map(|name| self.curves[0].series.points(name)));
        match plot(&points, self.size, self.charset) {
            Some(drawn) => text.push_str(&drawn),
            None => text.push_str("  (no number to draw)\n"),
        }
        if let Some(name) = companion {
            let [first, second, ..] = MARKS;
            text.push_str(&format!("           {first} {}   {second} {name}\n", self.metric));
        }
        match self.curves {
            [curve] if self.view == View::Full => {
                let last = last_rows(&curve.series, self.size.columns);
                text.push_str(&format!("\n{}\n{last}", names(&curve.series)));
            }
            [_] => {}
            _ => text.push_str(&format!("\n{}", self.legend())),
        }
        for note in self.notes() {
            text.push_str(&format!("{note}\n"));
        }
        text
    }

    /// The loss on held-out text, which is drawn with that of a single training.
    fn companion(&self) -> Option<&'static str> {
        match self.curves {
            [curve] if self.metric == LOSS && curve.series.has(VAL_LOSS) => Some(VAL_LOSS),
            _ => None,
        }
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
            let name = format!("{} {}", curve.legend.run, curve.legend.step);
            if let Some((run, at)) = curve.lineage.pruned {
                let at = at.strftime("%Y-%m-%d");
                notes.push(format!("{name}: earlier rows are gone: run {} was removed on {at}", short_id(run)));
            }
            if let Some((count, at)) = curve.series.summary(self.metric).and_then(|summary| summary.not_numbers) {
                notes.push(match count {
                    1 => format!("{name}: {} is no number at step {at}", self.metric),
                    _ => format!("{name}: {} is no number in {count} rows, the first at step {at}", self.metric),
                });
            }
        }
        let unsaid = notes.len().saturating_sub(MOST_NOTES);
        if unsaid > 0 {
            notes.truncate(MOST_NOTES);
            notes.push(format!("and {unsaid} more such notes"));
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

/// The last rows, with as many names as fit.
fn last_rows(series: &Series, columns: usize) -> String {
    const STEP: &str = "train_step";
    let mut width = STEP.len();
    let fits = |name: &&str| {
        width += 2 + name.chars().count().max(NUMBER);
        width <= columns
    };
    let names: Vec<&str> = series.names().into_iter().take_while(fits).collect();
    let header: Vec<&str> = std::iter::once(STEP).chain(names.iter().copied()).collect();
    let first = series.rows().saturating_sub(LAST_ROWS);
    let rows = (first..series.rows()).map(|row| {
        let values = names.iter().map(|name| series.value(name, row).map(number).unwrap_or_default());
        std::iter::once(series.step(row).to_string()).chain(values).collect()
    });
    table(&header, rows.collect())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Map, json};
    use stepwell_base::protocol::Measurement;
    use uuid::Uuid;

    use super::*;

    fn curve(number: u128, run: &str, word: u64, values: impl Fn(u64) -> Vec<(&'static str, f64)>) -> Curve {
        let mut series = Series::default();
        for train_step in (10..=200).step_by(10) {
            let values = values(train_step).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            series.push(Measurement { train_step, values });
        }
        let legend = Legend {
            run: run.to_owned(),
            step: "train".to_owned(),
            item: None,
            params: Map::from_iter([("word".to_owned(), json!(word))]),
            origin: None,
        };
        let run = RunId(Uuid::from_u128((0x01a2_2aef_65cb_709a << 64) + number));
        Curve { run, legend, lineage: Lineage::default(), series }
    }

    fn report(curves: &[Curve], more: usize) -> String {
        let size = Size { columns: 60, rows: 6 };
        Report { curves, metric: "loss", more, view: View::Full, size, charset: Charset::Ascii }.text()
    }

    #[test]
    fn one_run_has_its_numbers_and_last_rows() {
        let values = |step: u64| {
            let mut values = vec![("loss", 40.0 / step as f64), ("learning_rate", 1e-3)];
            if step == 100 {
                values[0].1 = f64::NAN;
            }
            if step.is_multiple_of(50) {
                values.push(("val_loss", 50.0 / step as f64));
            }
            values
        };
        let text = report(&[curve(1, "base", 1, values)], 0);
        assert_eq!(text, ONE, "{text}");
    }

    #[test]
    fn several_runs_have_a_legend() {
        let mut curves = [
            curve(1, "base", 1, |step| vec![("loss", 40.0 / step as f64)]),
            curve(2, "wide", 2, |_| vec![("loss", 2.0)]),
        ];
        curves[1].legend.origin = Some("forked from old at train:5".to_owned());
        curves[1].lineage.pruned = Some((RunId(Uuid::nil()), Timestamp::UNIX_EPOCH));
        let text = report(&curves, 9_998);
        assert_eq!(text, SEVERAL, "{text}");
    }

    #[test]
    fn a_report_stays_on_a_screen() {
        let curves: Vec<Curve> = (0..20).map(|n| curve(n, "r", n as u64, |_| vec![("loss", f64::NAN)])).collect();
        let text = report(&curves, 9_980);
        assert!(text.lines().count() < 40 && text.contains("no number to draw"), "{text}");
        let many: Vec<&'static str> = (0..100).map(|n| &*Box::leak(format!("n{n}").into_boxed_str())).collect();
        let text = report(&[curve(1, "r", 1, |_| many.iter().map(|name| (*name, 1.0)).collect())], 0);
        assert!(text.lines().count() < 40 && text.contains("and 90 more, with `--csv`"), "{text}");
    }

    const ONE: &str = "\
loss of train in run base\n\
\x20        4 |*\n\
\x20          | *\n\
\x20          | *\n\
\x20          |  **\n\
\x20          |    *******o*ooo\n\
\x20   0.2000 |              ***o*o*ooooo*o*o*o*o*o*o*o*o*o*o*o\n\
\x20          +------------------------------------------------\n\
\x20           10               training step               200\n\
\x20          * loss   o val_loss\n\
\n\
METRIC         ROWS  FIRST   LAST    MINIMUM  AT\n\
loss           20    4       0.2000  0.2000   200\n\
val_loss       4     1       0.2500  0.2500   200\n\
learning_rate  20    0.0010  0.0010  0.0010   10\n\
\n\
TRAIN_STEP  LOSS    VAL_LOSS  LEARNING_RATE\n\
170         0.2353            0.0010\n\
180         0.2222            0.0010\n\
190         0.2105            0.0010\n\
200         0.2000  0.2500    0.0010\n\
base train: loss is no number at step 100\n\
";
    const SEVERAL: &str = "\
loss of 10000 series\n\
\x20        4 |*\n\
\x20          | *\n\
\x20          | *\n\
\x20          |oo*ooooooooooooooooooooooooooooooooooooooooooooo\n\
\x20          |    **********\n\
\x20   0.2000 |              **********************************\n\
\x20          +------------------------------------------------\n\
\x20           10               training step               200\n\
\n\
MARK  RUN   ID        STEP   ROWS  FIRST  LAST    MINIMUM  AT   DIFFERS IN\n\
*     base  00000000  train  20    4      0.2000  0.2000   200  word=1\n\
o     wide  00000000  train  20    2      2       2        10   word=2, forked from old at train:5\n\
wide train: earlier rows are gone: run 00000000 was removed on 1970-01-01\n\
and 9998 more series: choose with `--step STEP`, or print all with `--csv`\n\
";
}
