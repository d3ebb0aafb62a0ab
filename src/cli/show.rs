//! `stepwell show RUN`

use serde_json::{Value, json};

use super::effort::{Effort, effort};
use super::error::CliError;
use super::exit_code::Exit;
use super::list::run_json;
use super::output::{short_id, since, step_json, table};
use super::session::Session;
use crate::core::event::{Ruling, Wait};
use crate::store::{Children, DecisionRow, RunRow, StepRow};

/// Fan-outs with more children than this are shown in one line, unless all are asked for.
pub const MOST_CHILDREN: u64 = 100;

pub fn show(session: &Session, selector: &str, all: bool) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(selector)?;
    let run = reader.run(id)?;
    let steps = reader.overview(id, if all { u64::MAX } else { MOST_CHILDREN })?;
    let decisions = reader.decisions(id)?;
    let effort = effort(&reader, &run, session.settings.slots.value)?;
    let value = json!({
        "run": run_json(&run),
        "effort": effort.json(),
        "steps": steps.iter().map(step_json).collect::<Vec<_>>(),
        "decisions": decisions.iter().map(decision_json).collect::<Vec<_>>(),
    });
    let mut text = human(&run, &steps, &effort);
    if !decisions.is_empty() {
        text.push('\n');
        text.push_str(&table(
            &["decision", "at", "verdict", "by", "about"],
            decisions.iter().map(decision_row).collect(),
        ));
    }
    session.out.document(&text, value)?;
    Ok(Exit::Ok)
}

fn human(run: &RunRow, steps: &[StepRow], effort: &Effort) -> String {
    let mut text = format!("run       {}\nname      {}\nworkflow  {}\n", run.id, run.name, run.workflow);
    text.push_str(&format!("status    {}\n", run.status.as_str()));
    text.push_str(&format!("time      {}\n", since(run.started_at, run.finished_at.or(Some(run.updated_at)))));
    if let Some(at) = run.pruned_at {
        text.push_str(&format!("pruned    {at}: only its log is left\n"));
    }
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

fn decision_json(row: &DecisionRow) -> Value {
    let mut fields = json!(row.ruling);
    fields["step"] = json!(row.step);
    fields["at"] = json!(row.at);
    fields["seq"] = json!(row.seq);
    fields
}

fn decision_row(row: &DecisionRow) -> Vec<String> {
    let Ruling { rule, inputs, verdict, approver, comment } = &row.ruling;
    let inputs =
        inputs.as_object().filter(|inputs| !inputs.is_empty()).map(|_| format!(" {inputs}")).unwrap_or_default();
    let comment = comment.as_ref().map(|comment| format!(" ({comment})")).unwrap_or_default();
    vec![
        row.step.to_string(),
        row.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        verdict.as_str().to_owned(),
        approver.clone().unwrap_or_else(|| "the rule".to_owned()),
        format!("{rule}{inputs}{comment}"),
    ]
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
    if let Some(Children { total, done, failed }) = step.children {
        parts.push(format!("{done} of {total} done"));
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
    }
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
    match &step.wait {
        Some(Wait::Approval { prompt, .. }) => parts.push(format!("waits for a person: {prompt}")),
        Some(Wait::Signal { name }) => parts.push(format!("waits for the signal {name}")),
        Some(Wait::Run { run }) => parts.push(format!("child run {}", short_id(*run))),
        None => {}
    }
    if let Some(failure) = &step.failure {
        parts.push(failure.to_string());
    }
    if let Some(reason) = &step.skip_reason {
        parts.push(reason.clone());
    }
    parts.join(", ")
}
