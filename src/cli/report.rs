//! What a run achieved, for people: figures, samples, and where everything is.

use serde_json::{Value, json};

use super::error::CliError;
use super::export_folder;
use super::list::run_json;
use super::output::{since, step_json};
use super::session::Session;
use super::show::MOST_CHILDREN;
use crate::config::Origin;
use crate::core::ids::RunId;
use crate::core::status::StepStatus;
use crate::store::{RunRow, StepRow};

pub fn succeeded(session: &Session, id: RunId) -> Result<(), CliError> {
    let reader = session.reader()?;
    let run = reader.run(id)?;
    let steps = reader.overview(id, MOST_CHILDREN)?;
    let exports = export_folder::materialise(session, &run, &steps)?;
    if session.out.is_json() {
        let steps: Vec<Value> = steps.iter().map(step_json).collect();
        let value = json!({ "type": "finished", "run": run_json(&run), "steps": steps, "exports": exports });
        return session.out.document("", value);
    }
    let mut text = format!("\nrun {} ({}) succeeded in {}\n", run.id, run.name, since(run.started_at, run.finished_at));
    for step in steps.iter().filter(|step| step.status == StepStatus::Succeeded) {
        summarise(step, &mut text);
    }
    for folder in exports {
        text.push_str(&format!("\nexported to {}\n", folder.display()));
    }
    text.push_str(&format!("state in    {}\n", session.state_dir().display()));
    session.out.line(text.trim_end_matches('\n'))
}

fn summarise(step: &StepRow, text: &mut String) {
    let Some(values) = step.outputs.as_ref().map(|outputs| &outputs.values) else { return };
    match step.kind.as_str() {
        "generate" => {
            text.push_str(&format!("\n{} (samples)\n", step.id));
            let samples = values.get("samples").and_then(Value::as_array).into_iter().flatten();
            for (index, sample) in samples.enumerate() {
                let line = sample.as_str().unwrap_or_default().replace('\n', " ");
                text.push_str(&format!("  {}. {line}\n", index + 1));
            }
        }
        "train" | "eval" => {
            text.push_str(&format!("\n{}\n", step.id));
            for (name, value) in values.iter().filter(|(_, value)| value.is_number()) {
                text.push_str(&format!("  {:<34} {}\n", name.replace('_', " "), figure(value)));
            }
        }
        _ => {}
    }
}

fn figure(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn failed(session: &Session, id: RunId) -> Result<(), CliError> {
    let reader = session.reader()?;
    let run = reader.run(id)?;
    if session.out.is_json() {
        let steps: Vec<Value> = reader.steps(id)?.iter().map(step_json).collect();
        session.out.document("", json!({ "type": "finished", "run": run_json(&run), "steps": steps }))?;
    }
    let failure = run.failure.as_ref();
    let message = failure.map_or("unknown failure", |failure| failure.message.as_str());
    eprintln!("error: run {} ({}) failed: {message}", run.id, run.name);
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_deref()) {
        eprintln!("hint: {hint}");
    }
    eprintln!("hint: `stepwell logs {}` shows what its attempts wrote", run_arguments(session, &run));
    Ok(())
}

/// How to name the run and its state directory on a command line.
pub fn resume_arguments(session: &Session, id: RunId) -> String {
    match session.reader().and_then(|reader| Ok(reader.run(id)?)) {
        Ok(run) => run_arguments(session, &run),
        Err(_) => id.to_string(),
    }
}

fn run_arguments(session: &Session, run: &RunRow) -> String {
    if session.settings.state_dir.origin == Origin::Default {
        run.name.clone()
    } else {
        format!("{} --state-dir {}", run.name, session.state_dir().display())
    }
}
