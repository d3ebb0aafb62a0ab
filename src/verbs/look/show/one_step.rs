//! `stepwell show RUN STEP`: everything about one step.

use serde_json::json;

use super::gave::{outputs, values};
use super::heading::line;
use super::records::tables;
use super::steps::progress;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::chosen_child::{StepSpecs, chosen};
use crate::view::failures::failure_text;
use crate::view::fan_out::MOST_CHILDREN;
use crate::view::origin::named;
use crate::view::output::{run_json, step_json, table};
use crate::view::usage;
use crate::view::value_text::{cut, in_a_row, leaves, short};
use crate::view::words::step_status;
use crate::view::work_time::{self, WorkClock};
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::item::item_name;
use stepwell_run::provenance::FINGERPRINT;
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow, StepRow};

/// Most characters of the item.
const ITEM_CHARACTERS: usize = 1000;
/// Most characters of an item or a failure in a row.
const CELL_CHARACTERS: usize = 60;
/// Most arguments, values, outputs and items, each.
const MOST_ROWS: usize = 40;
/// Most notes, the newest ones.
const MOST_NOTES: u32 = 10;

pub(super) fn show(session: &Session, reader: &Reader, id: RunId, step: &StepId) -> Result<Exit, CliError> {
    let step = reader.step(id, step)?;
    let (run, spec) = (reader.run(id)?, reader.spec(id)?);
    let time = work_time::text(WorkClock::new(reader, Some(id)).of_step(&step, &[]));
    let mut value = step_json(&step);
    value["with"] = json!(step.with);
    let newest = reader.newest_usage(id, &step.id)?;
    value["usage"] = usage::json(&newest);
    let chosen = chosen(reader, id, &StepSpecs::of(&spec), &step)?;
    let notes = reader.newest_notes(id, &step.id, MOST_NOTES)?;
    value["notes"] = notes.iter().map(|(at, message)| json!({ "at": at, "message": message })).collect();
    let notes = notes.into_iter().map(|(_, message)| message).collect();
    let items = items(reader, id, &step)?;
    if step.children.is_some() {
        value["items"] = items.iter().map(step_json).collect();
    }
    let text = text(&run, &step, &Measured { time, usage: usage::text(&newest), chosen, notes });
    let text = text + &item_rows(&items, run.status);
    session.out.document(&session.out.pasteable(&text), json!({ "run": run_json(&run), "step": value }))?;
    Ok(Exit::Ok)
}

/// The items of a fan-out, the first ones of a large one.
fn items(reader: &Reader, id: RunId, step: &StepRow) -> Result<Vec<StepRow>, CliError> {
    if step.children.is_none() {
        return Ok(Vec::new());
    }
    let mut items = reader.overview(id, MOST_CHILDREN)?;
    items.retain(|item| item.parent.as_ref() == Some(&step.id));
    Ok(items)
}

fn item_rows(items: &[StepRow], run: RunStatus) -> String {
    let row = |step: &StepRow| {
        let item = step.item.as_ref().map(|item| cut(&item_name(item), CELL_CHARACTERS)).unwrap_or_default();
        let told = match (&step.outputs, &step.failure) {
            (_, Some(failure)) => cut(&failure.headline(), CELL_CHARACTERS),
            (Some(outputs), _) => in_a_row(&outputs.values),
            (None, None) => String::new(),
        };
        vec![step.id.to_string(), item, step_status(step, run).to_owned(), told]
    };
    bounded(&["step", "item", "status", "gave"], items.iter().map(row).collect())
}

/// What a step took and chose, in words.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) time: String,
    /// Empty without a measurement.
    pub(super) usage: String,
    pub(super) chosen: Vec<String>,
    /// Decisions and findings of its attempts.
    pub(super) notes: Vec<String>,
}

pub(super) fn text(run: &RunRow, step: &StepRow, measured: &Measured) -> String {
    let mut text = line("step", step.id.as_str()) + &line("run", &named(&run.name, run.id));
    let item = step.item.as_ref().map(|item| cut(&item_name(item), ITEM_CHARACTERS));
    text.extend(item.map(|item| line("item", &item)));
    text.push_str(&line("kind", &step.kind));
    text.push_str(&line("status", step_status(step, run.status)));
    text.push_str(&line("attempts", &step.attempts.to_string()));
    text.push_str(&line("time", &measured.time));
    text.extend((!measured.usage.is_empty()).then(|| line("uses", &measured.usage)));
    let progress = progress(&StepRow { outputs: None, failure: None, ..step.clone() });
    text.extend((!progress.is_empty()).then(|| line("progress", &progress)));
    text.extend(measured.chosen.iter().map(|chosen| line("chose", chosen.trim_start_matches("chose "))));
    text.extend(measured.notes.iter().map(|note| line("note", note)));
    text.extend(failure_text(step).map(|told| line("failure", &told)));
    text.extend(step.failure.as_ref().and_then(|failure| failure.hint.as_ref()).map(|hint| line("hint", hint)));
    let mut arguments = Vec::new();
    if let Some(with) = step.with.as_ref().and_then(|with| with.as_object()) {
        leaves("", with, &mut arguments);
    }
    arguments.retain(|(path, _)| !path.starts_with(FINGERPRINT));
    let arguments = arguments.into_iter().map(|(path, value)| vec![path, short(&value)]).collect();
    let gave = values(step).into_iter().chain(outputs(step)).map(|row| row[1..].to_vec()).collect();
    text + &bounded(&["argument", "value"], arguments) + &bounded(&["gave", "content"], gave) + &tables(step)
}

pub(super) fn bounded(header: &[&str], mut rows: Vec<Vec<String>>) -> String {
    let more = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    match (rows.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!("\n{}", table(header, rows)),
        (false, more) => format!("\n{}and {more} more, with `--output json`\n", table(header, rows)),
    }
}
