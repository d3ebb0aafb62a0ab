//! Reports the result of a run to people: figures, samples, and where everything is.

use std::path::Path;

use serde_json::{Value, json};

use super::export_folder::ExportFolder;
use super::failures::{MOST_FAILURES, failed_steps, failure_text};
use super::fan_out::MOST_CHILDREN;
use super::intervals::interval_lines;
use super::output::{run_json, shown_path, since, step_json};
use super::run_handle::handle;
use super::value_text::{label, remark, short};
use crate::drive::edited::repair;
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_base::visible::visible_line;
use stepwell_run::status::StepStatus;
use stepwell_steps::Highlight;
use stepwell_store::{StepRow, attempt_log};
use stepwell_workflow::catalog::Given;

/// Most values of own programs in the summary of a run.
const MOST_VALUES: usize = 10;

pub fn succeeded(session: &Session, id: RunId) -> Result<(), CliError> {
    let reader = session.reader()?;
    let run = reader.run(id)?;
    let steps = reader.overview(id, MOST_CHILDREN)?;
    let folder = ExportFolder::of(session);
    // A worker may export the same run at this moment; the second try finds its folder.
    let exports = folder.materialise(&run, &steps).or_else(|_| folder.materialise(&run, &steps));
    let exports = exports.unwrap_or_else(|error| {
        session.out.message(&format!("warning: run {id} is not exported: {}", error.message()));
        Vec::new()
    });
    if session.out.is_json() {
        let steps: Vec<Value> = steps.iter().map(step_json).collect();
        let exports: Vec<String> = exports.iter().map(|folder| shown_path(folder)).collect();
        let value = json!({ "type": "finished", "run": run_json(&run), "steps": steps, "exports": exports });
        session.out.announce("", value);
        return Ok(());
    }
    let mut text = format!("\nrun {} ({}) succeeded in {}\n", run.id, run.name, since(run.started_at, run.finished_at));
    for step in steps.iter().filter(|step| step.status == StepStatus::Succeeded) {
        summarise(step, &mut text);
    }
    text.push_str(&own_values(&steps, &handle(&reader, &run)));
    for folder in exports {
        text.push_str(&format!("\nexported to {}\n", folder.display()));
    }
    text.push_str(&format!("state in    {}\n", session.state_dir().display()));
    session.out.announce(&session.out.pasteable(&text), Value::Null);
    Ok(())
}

/// Adds what the kind of the step declares as worth seeing.
fn summarise(step: &StepRow, text: &mut String) {
    let Some(values) = step.outputs.as_ref().map(|outputs| &outputs.values) else { return };
    match highlight(step) {
        Highlight::Texts(name) => {
            text.push_str(&format!("\n{} ({})\n", step.id, name.replace('_', " ")));
            let texts = values.get(name).and_then(Value::as_array).into_iter().flatten();
            for (index, sample) in texts.enumerate() {
                let line = sample.as_str().unwrap_or_default().replace('\n', " ");
                text.push_str(&format!("  {}. {}\n", index + 1, visible_line(&line)));
            }
        }
        Highlight::Numbers => {
            text.push_str(&format!("\n{}\n", step.id));
            for (name, value) in values.iter().filter(|(_, value)| value.is_number()) {
                let line = format!(
                    "  {:<34} {:<12} {}",
                    label(&step.kind, name),
                    figure(value),
                    remark(&step.kind, name, values)
                );
                text.push_str(&format!("{}\n", line.trim_end()));
            }
            for line in interval_lines(values) {
                text.push_str(&format!("{line}\n"));
            }
        }
        Highlight::Folder(_) | Highlight::Nothing => {}
    }
}

/// Values that programs of the user wrote, which no kind of step can choose from.
fn own_values(steps: &[StepRow], run: &str) -> String {
    let is_own = |step: &&StepRow| {
        step.status == StepStatus::Succeeded
            && stepwell_steps::find(&step.kind).is_some_and(|kind| kind.gives().values == Given::Any)
    };
    let scalars = |step: &StepRow| -> Vec<(String, String)> {
        let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
        let plain = values.filter(|(_, value)| !matches!(value, Value::Null | Value::Object(_) | Value::Array(_)));
        plain.map(|(name, value)| (format!("{}.{name}", step.id), short(value))).collect()
    };
    let rows: Vec<(String, String)> = steps.iter().filter(is_own).flat_map(scalars).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "\nvalues\n".to_owned();
    for (name, value) in rows.iter().take(MOST_VALUES) {
        text.push_str(&format!("  {name:<34} {}\n", visible_line(value)));
    }
    if let Some(more) = rows.len().checked_sub(MOST_VALUES).filter(|more| *more > 0) {
        text.push_str(&format!("  and {more} more: {}\n", shell::stepwell("show", [run])));
    }
    text
}

/// The results of a step that a person sees; nothing for a kind that this build lacks.
pub fn highlight(step: &StepRow) -> Highlight {
    stepwell_steps::find(&step.kind).map_or(Highlight::Nothing, |kind| kind.highlight())
}

fn figure(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// True if the last attempt of a step has printed something.
fn has_log(state_dir: &Path, run: RunId, step: &StepRow) -> bool {
    attempt_log(state_dir, run, &step.id, step.attempts).metadata().is_ok_and(|log| log.len() > 0)
}

pub fn failed(session: &Session, id: RunId) -> Result<(), CliError> {
    let reader = session.reader()?;
    let run = reader.run(id)?;
    if session.out.is_json() {
        let steps: Vec<Value> = reader.steps(id)?.iter().map(step_json).collect();
        session.out.announce("", json!({ "type": "finished", "run": run_json(&run), "steps": steps }));
    }
    let show = shell::stepwell("show --all", [&*handle(&reader, &run)]);
    let logs = shell::stepwell("logs", [&*handle(&reader, &run)]);
    let failed = failed_steps(&reader, id)?;
    let shown = &failed[..failed.len().min(MOST_FAILURES)];
    let told: Vec<String> = shown.iter().filter_map(failure_text).collect();
    let mut message = match (failed.len(), &run.failure) {
        (1, _) => told.concat(),
        (0, Some(failure)) => failure.to_string(),
        (count, _) => format!("{count} steps failed\n{}", told.join("\n")),
    };
    if failed.len() > shown.len() {
        message.push_str(&format!("\nand {} more: {show} lists them", failed.len() - shown.len()));
    }
    let mut hints: Vec<String> = shown.iter().filter_map(|step| step.failure.as_ref()?.hint.clone()).collect();
    hints.dedup();
    if shown.iter().any(|step| has_log(reader.state_dir(), id, step)) {
        hints.push(format!("{logs} shows what its attempts wrote"));
    }
    hints.extend(run.options.project.as_ref().and_then(repair));
    session.out.error(&CliError::failed(format!("run {} ({}) failed: {message}", run.id, run.name)).hints(hints));
    Ok(())
}
