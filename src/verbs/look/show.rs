//! `stepwell show RUN`

use clap::Args;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::effort::effort;
use crate::view::failures::{MOST_FAILURES, failed_steps, failure_text};
use crate::view::fan_out::MOST_CHILDREN;
use crate::view::output::{bytes, run_json, short_id, step_json, table};
use crate::view::work_time::{self, WorkClock};
use stepwell_run::event::{Ruling, Wait};
use stepwell_run::status::RunStatus;
use stepwell_store::{Children, DecisionRow, RunRow, StepRow};
use stepwell_workflow::spec::WorkflowSpec;

/// Most values and outputs to show, unless the full list is requested.
const MOST_GIVEN: usize = 60;
/// Most characters of a value in a table.
const MOST_CHARACTERS: usize = 72;

/// Show a run: its steps, their outputs and progress
///
/// Also shows parameters, time and cost, decisions, and why a failed step failed. `--output json` has everything.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// List every child of large fan-outs instead of counting them, and all values and outputs
    #[arg(long)]
    pub all: bool,
}

pub fn show(session: &Session, args: &ShowArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let all = args.all;
    let run = reader.run(id)?;
    let steps = reader.overview(id, if all { u64::MAX } else { MOST_CHILDREN })?;
    let decisions = reader.decisions(id)?;
    let effort = effort(&reader, &run, session.settings.slots.value)?;
    let failed = if run.status == RunStatus::Failed { failed_steps(&reader, id)? } else { Vec::new() };
    let spec = reader.spec(id)?;
    let value = json!({
        "run": run_json(&run),
        "params": spec.params,
        "effort": effort.json(),
        "steps": steps.iter().map(step_json).collect::<Vec<_>>(),
        "decisions": decisions.iter().map(decision_json).collect::<Vec<_>>(),
    });
    let clock = WorkClock::new(&reader, Some((id, &spec)));
    let mut text = heading(&run, &clock, &steps);
    text.push_str(&session.out.pasteable(&failures(&failed)));
    text.push_str(&effort.lines());
    text.push('\n');
    let rows = steps.iter().map(|step| step_row(step, &clock, &steps)).collect();
    text.push_str(&table(&["step", "kind", "status", "attempts", "time", "progress"], rows));
    text.push_str(&params(&spec));
    text.push_str(&given(&steps, if all { usize::MAX } else { MOST_GIVEN }));
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

fn heading(run: &RunRow, clock: &WorkClock<'_>, steps: &[StepRow]) -> String {
    let mut text = format!("run       {}\nname      {}\nworkflow  {}\n", run.id, run.name, run.workflow);
    text.push_str(&format!("status    {}\n", run.status.as_str()));
    text.push_str(&format!("time      {}\n", work_time::text(clock.of_run(run, steps))));
    if let Some(at) = run.pruned_at {
        text.push_str(&format!("pruned    {at}: only its log is left\n"));
    }
    text
}

/// Lists every failed step with its full message, which does not fit in the table of steps.
fn failures(failed: &[StepRow]) -> String {
    let mut text = String::new();
    for step in failed.iter().take(MOST_FAILURES) {
        let Some(told) = failure_text(step) else { continue };
        text.push_str(&format!("failure   {}\n", told.replace('\n', "\n          ")));
        let hint = step.failure.as_ref().and_then(|failure| failure.hint.as_ref());
        text.extend(hint.map(|hint| format!("hint      {hint}\n")));
    }
    match failed.len().saturating_sub(MOST_FAILURES) {
        0 => text,
        more => text + &format!("          and {more} more\n"),
    }
}

fn params(spec: &WorkflowSpec) -> String {
    if spec.params.is_empty() {
        return String::new();
    }
    let rows = spec.params.iter().map(|(name, value)| vec![name.clone(), short(value)]);
    format!("\n{}", table(&["param", "value"], rows.collect()))
}

/// Lists the values of succeeded steps, and their outputs with sizes.
fn given(steps: &[StepRow], most: usize) -> String {
    let mut rows = Vec::new();
    for step in steps {
        let Some(outputs) = &step.outputs else { continue };
        for (name, value) in &outputs.values {
            rows.push(vec![step.id.to_string(), format!("values.{name}"), short(value)]);
        }
        for (name, artifact) in &outputs.artifacts {
            let content = format!("{}  {}", &artifact.digest.as_str()[..16], bytes(artifact.size));
            rows.push(vec![step.id.to_string(), format!("outputs.{name}"), content]);
        }
    }
    let more = rows.len().saturating_sub(most);
    rows.truncate(most);
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", table(&["step", "gave", "content"], rows)));
    }
    if more > 0 {
        text.push_str(&format!("and {more} more, with `--all`\n"));
    }
    text
}

/// Formats JSON on one line of a table.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
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

fn step_row(step: &StepRow, clock: &WorkClock<'_>, all: &[StepRow]) -> Vec<String> {
    vec![
        step.id.to_string(),
        step.kind.clone(),
        step.status.as_str().to_owned(),
        step.attempts.to_string(),
        work_time::text(clock.of_step(step, all)),
        progress(step),
    ]
}

/// Progress of the running attempt in per cent. A checkpoint may be newer than the last report.
fn share(step: &StepRow) -> Option<u64> {
    let mark = step.progress.filter(|mark| mark.total > 0)?;
    let counts_steps = stepwell_steps::find(&step.kind).is_some_and(|kind| kind.counts_training_steps());
    let saved = step.last_step.filter(|_| counts_steps).unwrap_or(0);
    Some(100 * mark.done.max(saved).min(mark.total) / mark.total)
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
    if let Some(share) = share(step) {
        parts.push(format!("{share} %"));
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
        parts.push(failure.headline());
    }
    if let Some(reason) = &step.skip_reason {
        parts.push(reason.clone());
    }
    parts.join(", ")
}
