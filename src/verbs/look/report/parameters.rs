//! Parameters: those that differ first.

use serde_json::Value;

use super::markup::Markup;
use super::subject::{Subject, section};
use crate::view::value_text::{cut, leaves, text};

const MOST_ROWS: usize = 300;
const LONGEST: usize = 300;

type Row = (String, Vec<Option<Value>>);

/// Of several runs, what makes them different.
pub(super) fn differing(page: &mut Markup, subject: &Subject<'_>) {
    if subject.compared.runs.len() < 2 {
        return;
    }
    let differing = subject.compared.differing_params();
    section(page, "differences", "Differences", |section| match differing.is_empty() {
        true => section.element("p", &[], "The runs have equal parameters."),
        false => table(section, &subject.names(), differing.iter()),
    });
}

pub(super) fn write(page: &mut Markup, subject: &Subject<'_>) {
    let all = subject.compared.params();
    if all.is_empty() {
        return;
    }
    let names = subject.names();
    section(page, "parameters", "Parameters", |section| {
        if let [side] = &subject.compared.runs[..]
            && let Some(changed) = side.params.changed()
        {
            let mut paths = Vec::new();
            leaves("", &changed, &mut paths);
            let is_changed = |(name, _): &&Row| paths.iter().any(|(path, _)| path == name);
            match paths.is_empty() {
                true => section.element("p", &[], "All parameters have the defaults of the workflow."),
                false => {
                    section.element("p", &[], "These differ from the defaults of the workflow:");
                    table(section, &names, all.iter().filter(is_changed));
                }
            }
        }
        section.within("details", &[], |details| {
            details.element("summary", &[], &format!("All {} parameters", all.len()));
            table(details, &names, all.iter());
        });
    });
}

fn table<'r>(page: &mut Markup, names: &[String], rows: impl Iterator<Item = &'r Row>) {
    let mut header = vec!["parameter"];
    header.extend(names.iter().map(String::as_str));
    let cell =
        |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), |value| cut(&text(value), LONGEST));
    let row = |(name, values): &Row| std::iter::once(name.clone()).chain(values.iter().map(cell)).collect();
    let rows: Vec<Vec<String>> = rows.take(MOST_ROWS).map(row).collect();
    page.table(&header, &rows);
}
