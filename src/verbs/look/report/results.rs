//! The numbers that steps gave: rows are values, columns are runs.

use serde_json::Value;

use super::markup::Markup;
use super::subject::{Subject, section};
use crate::verbs::look::compare::collect::Figure;
use crate::view::value_text::{direction, text};

/// Most rows; the values that tell good from bad come first.
const MOST_ROWS: usize = 100;
const LONGEST: usize = 60;
/// So many values are all shown.
const FEW: usize = 20;

pub(super) fn write(page: &mut Markup, subject: &Subject<'_>) {
    let compared = &subject.compared;
    let mut figures: Vec<&Figure> =
        compared.values.iter().filter(|figure| figure.values.iter().any(Value::is_number)).collect();
    figures.sort_by_key(|figure| figure.better.is_none());
    let repeated = |last: &Figure| figures.iter().any(|figure| figure.is_named_like(last));
    let last: Vec<&Figure> = compared.metrics.iter().filter(|last| !repeated(last)).collect();
    if figures.is_empty() && last.is_empty() {
        return;
    }
    let (telling, counts): (Vec<&Figure>, Vec<&Figure>) = figures.iter().partition(|figure| figure.better.is_some());
    // Programs say of none of their values which way is better.
    let (telling, counts) =
        if telling.is_empty() && figures.len() <= FEW { (counts, telling) } else { (telling, counts) };
    section(page, "results", "Results", |section| {
        let names = subject.names();
        let telling = if telling.is_empty() { &last } else { &telling };
        table(section, &names, telling);
        if counts.is_empty() {
            return;
        }
        section.within("details", &[], |details| {
            details.element("summary", &[], &format!("{} more values", counts.len() + last.len()));
            table(details, &names, &counts);
            details.element("h3", &[], "Last row of the metrics");
            table(details, &names, &last);
        });
    });
}

fn table(page: &mut Markup, names: &[String], figures: &[&Figure]) {
    let mut header = vec!["value"];
    header.extend(names.iter().map(String::as_str));
    header.push("better");
    let row = |figure: &&Figure| {
        let mut row = vec![format!("{} {}", figure.step, figure.name.replace('_', " "))];
        row.extend(figure.values.iter().enumerate().map(|(run, value)| {
            let best = if figure.is_best(run) { " (best)" } else { "" };
            format!("{}{best}", shown(value))
        }));
        row.push(direction(figure.better));
        row
    };
    let rows: Vec<Vec<String>> = figures.iter().take(MOST_ROWS).map(row).collect();
    page.table(&header, &rows);
    let more = figures.len().saturating_sub(MOST_ROWS);
    if more > 0 {
        page.element("p", &[], &format!("and {more} more values"));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        value => crate::view::value_text::cut(&text(value), LONGEST),
    }
}
