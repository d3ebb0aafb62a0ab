//! The comparison as text: a few runs side by side, many one below the other.

use serde_json::Value;

use super::collect::{Compared, Figure, Side};
use crate::view::extent::Extent;
use crate::view::origin::named;
use crate::view::output::{grid, short_id, table};
use crate::view::value_text::{cut, direction, text as value_text};
use crate::view::work_time;

/// More runs than this are rows.
const MOST_COLUMNS: usize = 4;
/// Most rows of parameters, and of values.
const MOST_ROWS: usize = 20;
/// Most columns of parameters, and of values, when runs are rows.
const MOST_FIGURES: usize = 5;
/// Most characters of a cell.
const MOST_CHARACTERS: usize = 32;

pub(super) fn text(compared: &Compared, extent: Extent) -> String {
    if compared.runs.len() <= MOST_COLUMNS { side_by_side(compared, extent) } else { one_below_the_other(compared) }
}

fn side_by_side(compared: &Compared, extent: Extent) -> String {
    let most = if extent == Extent::All { usize::MAX } else { MOST_ROWS };
    let mut rows = heading(&compared.runs);
    let params = if extent == Extent::All { compared.params() } else { compared.differing_params() };
    let params = params.into_iter().map(|(name, values)| {
        std::iter::once(name).chain(values.iter().map(|value| value.as_ref().map_or_else(missing, cell))).collect()
    });
    section(&mut rows, "differing params", params.collect(), most);
    let is_shown = |figure: &&Figure| {
        extent == Extent::All || figure.says_something() && (figure.differs() || figure.better.is_some())
    };
    let mut values: Vec<&Figure> = compared.values.iter().filter(is_shown).collect();
    // Values that tell good from bad come first.
    values.sort_by_key(|figure| figure.better.is_none());
    values.truncate(most);
    section(&mut rows, "values", values.iter().map(|figure| figure_row(figure)).collect(), most);
    let more = compared.values.len() - values.len();
    if more > 0 {
        rows.push(vec![format!("and {more} more, with `--all`")]);
    }
    let metrics = compared.metrics.iter().filter(|figure| extent == Extent::All || figure.says_something());
    section(&mut rows, "last metrics", metrics.map(figure_row).collect(), most);
    grid(rows) + &pruned(&compared.runs)
}

/// One line for each run whose values and metrics are gone.
fn pruned(runs: &[Side]) -> String {
    let gone = runs.iter().filter_map(|side| Some((&side.run.name, side.run.pruned_at?)));
    let line = |(name, at): (&String, jiff::Timestamp)| {
        format!("run {name} was removed on {}: its values and metrics are gone\n", at.strftime("%Y-%m-%d %H:%M:%SZ"))
    };
    gone.map(line).collect()
}

fn heading(runs: &[Side]) -> Vec<Vec<String>> {
    let line = |name: &str, cell: &dyn Fn(&Side) -> String| -> Vec<String> {
        std::iter::once(name.to_owned()).chain(runs.iter().map(cell)).collect()
    };
    let mut rows = vec![
        line("run", &|side| side.run.name.clone()),
        line("id", &|side| short_id(side.run.id)),
        line("workflow", &|side| side.run.workflow.clone()),
        line("status", &|side| match side.run.pruned_at {
            Some(_) => format!("{}, removed", side.run.status.as_str()),
            None => side.run.status.as_str().to_owned(),
        }),
        line("created", &|side| side.run.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()),
        line("time", &|side| work_time::text(side.time)),
    ];
    if runs.iter().any(|side| side.origin.is_some()) {
        rows.push(line("origin", &|side| side.origin.clone().unwrap_or_default()));
    }
    rows
}

/// Adds an empty row, a title and the rows; a note tells of rows beyond `most`.
fn section(rows: &mut Vec<Vec<String>>, title: &str, mut more: Vec<Vec<String>>, most: usize) {
    if more.is_empty() {
        return;
    }
    let left_out = more.len().saturating_sub(most);
    more.truncate(most);
    rows.extend([Vec::new(), vec![title.to_uppercase()]]);
    rows.append(&mut more);
    if left_out > 0 {
        rows.push(vec![format!("and {left_out} more, with `--all`")]);
    }
}

fn figure_row(figure: &Figure) -> Vec<String> {
    let mut row = vec![format!("{}.{}", figure.step, figure.name)];
    row.extend((0..figure.values.len()).map(|run| figure_cell(figure, run)));
    row.push(direction(figure.better));
    row
}

fn figure_cell(figure: &Figure, run: usize) -> String {
    match figure.values.get(run) {
        None | Some(Value::Null) => missing(),
        Some(value) if figure.is_best(run) => format!("{} *", cell(value)),
        Some(value) => cell(value),
    }
}

fn cell(value: &Value) -> String {
    cut(&value_text(value), MOST_CHARACTERS)
}

fn missing() -> String {
    "-".to_owned()
}

fn one_below_the_other(compared: &Compared) -> String {
    let params = compared.differing_params();
    let is_value = |metric: &&Figure| compared.values.iter().any(|value| value.is_named_like(metric));
    let metrics = compared.metrics.iter().filter(|metric| !is_value(metric));
    let mut figures: Vec<&Figure> =
        compared.values.iter().chain(metrics).filter(|figure| figure.says_something()).collect();
    // Values that tell good from bad come first, then those that differ.
    figures.sort_by_key(|figure| (figure.better.is_none(), !figure.differs()));
    if figures.iter().any(|figure| figure.differs()) {
        figures.retain(|figure| figure.differs());
    }
    let (most_params, most_figures) = (params.len().min(MOST_FIGURES), figures.len().min(MOST_FIGURES));
    let mut header = vec!["run".to_owned(), "status".to_owned(), "time".to_owned()];
    header.extend(params[..most_params].iter().map(|(name, _)| name.clone()));
    header.extend(figures[..most_figures].iter().map(|figure| format!("{}.{}", figure.step, figure.name)));
    let row = |(index, side): (usize, &Side)| {
        let status = side.run.status.as_str().to_owned();
        let mut row = vec![named(&side.run.name, side.run.id), status, work_time::text(side.time)];
        let param = |(_, values): &(String, Vec<Option<Value>>)| values[index].as_ref().map_or_else(missing, cell);
        row.extend(params[..most_params].iter().map(param));
        row.extend(figures[..most_figures].iter().map(|figure| figure_cell(figure, index)));
        row
    };
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut text = table(&header, compared.runs.iter().enumerate().map(row).collect()) + &pruned(&compared.runs);
    let (params, figures) = (params.len() - most_params, figures.len() - most_figures);
    if params + figures > 0 {
        text.push_str(&format!("and {params} more params, {figures} more values, with `--output json`\n"));
    }
    text
}
