//! `stepwell show RUN`

use serde_json::json;

use super::effort::{Effort, effort};
use super::error::CliError;
use super::exit_code::Exit;
use super::list::run_json;
use super::output::{since, step_json, table};
use super::session::Session;
use crate::store::{RunRow, StepRow};

pub fn show(session: &Session, selector: &str) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(selector)?;
    let run = reader.run(id)?;
    let steps = reader.steps(id)?;
    let effort = effort(&reader, &run, session.settings.slots.value)?;
    let value = json!({ "run": run_json(&run), "effort": effort.json(), "steps": steps.iter().map(step_json).collect::<Vec<_>>() });
    session.out.document(&human(&run, &steps, &effort), value)?;
    Ok(Exit::Ok)
}

fn human(run: &RunRow, steps: &[StepRow], effort: &Effort) -> String {
    let mut text = format!("run       {}\nname      {}\nworkflow  {}\n", run.id, run.name, run.workflow);
    text.push_str(&format!("status    {}\n", run.status.as_str()));
    text.push_str(&format!("time      {}\n", since(run.started_at, run.finished_at.or(Some(run.updated_at)))));
    if let Some(failure) = &run.failure {
        text.push_str(&format!("failure   {failure}\n"));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("hint      {hint}\n"));
        }
    }
    text.push_str(&effort.lines());
    text.push('\n');
    text.push_str(&table(
        &["step", "kind", "status", "attempts", "time", "progress"],
        steps.iter().map(step_row).collect(),
    ));
    text
}

fn step_row(step: &StepRow) -> Vec<String> {
    vec![
        step.id.to_string(),
        step.kind.clone(),
        step.status.as_str().to_owned(),
        step.attempts.to_string(),
        since(step.started_at, step.finished_at),
        progress(step),
    ]
}

fn progress(step: &StepRow) -> String {
    let mut parts = Vec::new();
    if step.reused_from.is_some() {
        parts.push("reused".to_owned());
    }
    if let Some(mark) = step.progress.filter(|mark| mark.total > 0) {
        parts.push(format!("{} %", 100 * mark.done / mark.total));
    }
    for (pool, units) in &step.resources {
        parts.push(format!("{pool} {}", units.join(" ")));
    }
    if let Some(last_step) = step.last_step {
        parts.push(format!("step {last_step}"));
    }
    if let Some(index) = step.last_doc_index {
        parts.push(format!("document {index}"));
    }
    if let Some(tokens) = step.tokens_so_far {
        parts.push(format!("{tokens} tokens"));
    }
    if let Some(loss) = step.loss {
        parts.push(format!("loss {loss:.4}"));
    }
    if let Some(failure) = &step.failure {
        parts.push(failure.message.clone());
    }
    if let Some(reason) = &step.skip_reason {
        parts.push(reason.clone());
    }
    parts.join(", ")
}
