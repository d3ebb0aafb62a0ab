//! The list as text. A column that is empty in every row is left out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::args::ListArgs;
use super::page::{Listed, Page};
use crate::error::CliError;
use crate::view::annotation::tag_list;
use crate::view::effort::Effort;
use crate::view::output::{short_id, table};
use crate::view::value_text::{cut, text as value_text};
use stepwell_base::ids::RunId;
use stepwell_base::suggest;
use stepwell_run::event::Wait;
use stepwell_store::WaitRow;

/// Status of a run that no engine can drive; `db check` says why.
const DAMAGED: &str = "damaged";
/// Most characters of a parameter.
const MOST_CHARACTERS: usize = 32;

/// Columns that the arguments add.
#[derive(Default)]
pub(super) struct Columns {
    params: Vec<String>,
    sort: Option<String>,
}

impl Columns {
    /// # Errors
    /// When no listed run has one of the parameters; names those that exist.
    pub(super) fn of(args: &ListArgs, page: &Page) -> Result<Columns, CliError> {
        for name in &args.params {
            if !page.runs.is_empty() && page.runs.iter().all(|run| run.params.at(name).is_none()) {
                let known = page.runs.iter().flat_map(|run| run.params.params.keys()).map(String::as_str);
                let known: BTreeSet<&str> = known.collect();
                let message = format!("none of these runs has a param `{name}`");
                return Err(CliError::usage(message).hint(suggest::hint(name, "params", known)));
            }
        }
        let is_shown = |sort: &String| !args.params.contains(sort) && !["created", "time", "name"].contains(&&**sort);
        Ok(Columns { params: args.params.clone(), sort: args.sort.clone().filter(is_shown) })
    }
}

/// A column of the table.
struct Column {
    title: String,
    cells: Vec<String>,
    /// False where the column is left out if no row has it.
    is_wanted: bool,
}

pub(super) fn text(page: &Page, columns: &Columns, waits: &[WaitRow]) -> String {
    if page.runs.is_empty() && page.unreadable.is_empty() {
        return if page.is_search {
            "no run is like that: `stepwell list` shows all that were not removed".to_owned()
        } else {
            "no runs yet: `stepwell start-training` starts one".to_owned()
        };
    }
    let mut shown = columns_of(page, columns, waits);
    shown.retain(|column| column.is_wanted || column.cells.iter().any(|cell| !cell.is_empty()));
    let titles: Vec<&str> = shown.iter().map(|column| column.title.as_str()).collect();
    let count = page.runs.len() + page.unreadable.len();
    let row = |index: usize| shown.iter().map(|column| column.cells.get(index).cloned().unwrap_or_default()).collect();
    table(&titles, (0..count).map(row).collect()) + &left_out(page)
}

fn left_out(page: &Page) -> String {
    match (page.is_search, page.left_out) {
        (true, 0) => String::new(),
        (true, more) => format!("\nand {more} more: `-n N` or `--all` shows them\n"),
        (false, more) => {
            let mut text = String::new();
            if more > 0 {
                text.push_str(&format!("\nand {more} more that have not ended: `stepwell list --all` shows them\n"));
            }
            if page.more {
                text.push_str("\nolder runs have ended too: `stepwell list --all` shows them\n");
            }
            text
        }
    }
}

/// One cell per run, then one per unreadable run where that has something to show.
fn columns_of(page: &Page, columns: &Columns, waits: &[WaitRow]) -> Vec<Column> {
    let column = |title: &str, is_wanted: bool, cell: &dyn Fn(&Listed) -> String| Column {
        title: title.to_owned(),
        cells: page.runs.iter().map(cell).collect(),
        is_wanted,
    };
    let value = |value: Option<&Value>| value.map(|value| cut(&value_text(value), MOST_CHARACTERS)).unwrap_or_default();
    let mut all = vec![
        column("run", true, &|listed| short_id(listed.run.id)),
        column("name", true, &|listed| format!("{}{}", "  ".repeat(listed.depth), listed.run.name)),
        column("workflow", true, &|listed| listed.run.workflow.clone()),
        column("status", true, &status),
        column("created", true, &|listed| listed.run.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()),
        column("time", true, &|listed| listed.time.clone()),
    ];
    for run in &page.unreadable {
        for (column, cell) in all.iter_mut().zip([run.id.as_str(), run.name.as_str(), "", DAMAGED]) {
            column.cells.push(cell.to_owned());
        }
    }
    all.extend(columns.sort.iter().map(|key| column(key, true, &|listed| value(listed.sorted_by.as_ref()))));
    all.extend(columns.params.iter().map(|name| column(name, true, &|listed| value(listed.params.at(name)))));
    let left = |listed: &Listed| listed.effort.as_ref().and_then(Effort::remaining).unwrap_or_default();
    all.push(column("kept", false, &|listed| if listed.annotation.kept_at.is_some() { "yes" } else { "" }.to_owned()));
    all.push(column("tags", false, &|listed| tag_list(&listed.annotation)));
    all.push(column("left", false, &left));
    all.push(column("waits for", false, &|listed| waits_for(listed.run.id, waits)));
    all
}

fn status(listed: &Listed) -> String {
    if listed.damage.is_some() { DAMAGED } else { listed.run.status.as_str() }.to_owned()
}

/// Describes what a run waits for, in one cell.
fn waits_for(run: RunId, waits: &[WaitRow]) -> String {
    let mut own = waits.iter().filter(|wait| wait.run == run);
    let Some(WaitRow { step, wait, .. }) = own.next() else { return String::new() };
    let first = match wait {
        Wait::Approval { .. } => format!("a person: {step}"),
        Wait::Signal { name } => format!("the signal {name}: {step}"),
        Wait::Run { .. } => format!("a child run: {step}"),
    };
    match own.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}
