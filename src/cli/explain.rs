//! `stepwell explain RUN [STEP]`: why a step ran, was reused, or waits.

use serde_json::{Value, json};

use super::args::ExplainArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::explain_limits::waits_for;
use super::session::Session;
use crate::core::event::Wait;
use crate::core::ids::{RunId, StepId};
use crate::core::key;
use crate::core::limits::Limits;
use crate::core::spec::WorkflowSpec;
use crate::core::status::StepStatus;
use crate::store::{EngineLock, Reader, RunRow, StepRow};

pub fn explain(session: &Session, args: &ExplainArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let steps = reader.steps(id)?;
    let run = reader.run(id)?;
    let spec = reader.spec(id)?;
    let chosen: Vec<&StepRow> =
        steps.iter().filter(|step| args.step.as_ref().is_none_or(|name| step.id.as_str() == name)).collect();
    if chosen.is_empty() {
        return Err(CliError::not_found(format!(
            "run {id} has no step `{}`",
            args.step.as_deref().unwrap_or_default()
        ))
        .hint(format!("`stepwell show {}` lists its steps", args.run)));
    }
    let served = EngineLock::holder(session.state_dir()).is_some();
    let mut text = String::new();
    let mut values = Vec::new();
    for step in chosen {
        let reasons = reasons(
            &Situation {
                reader: &reader,
                run: &run,
                spec: &spec,
                steps: &steps,
                served,
                limits: session.settings.limits(),
            },
            step,
        )?;
        text.push_str(&format!("{} is {}\n", step.id, step.status.as_str()));
        for reason in &reasons {
            text.push_str(&format!("  {reason}\n"));
        }
        values.push(json!({ "step": step.id, "status": step.status.as_str(), "reasons": reasons }));
    }
    session.out.document(&text, json!({ "run": { "id": id }, "steps": values }))?;
    Ok(Exit::Ok)
}

struct Situation<'a> {
    reader: &'a Reader,
    run: &'a RunRow,
    spec: &'a WorkflowSpec,
    steps: &'a [StepRow],
    /// An engine holds the state directory.
    served: bool,
    limits: Limits,
}

fn limits(situation: &Situation<'_>, step: &StepRow) -> Result<Option<String>, CliError> {
    let definition = step.parent.as_ref().unwrap_or(&step.id);
    match situation.spec.steps.iter().find(|spec| spec.id == *definition) {
        Some(spec) => waits_for(&situation.limits, situation.reader, spec),
        None => Ok(None),
    }
}

fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<String>, CliError> {
    let mut reasons = Vec::new();
    match step.status {
        StepStatus::Pending => reasons.extend(waits(situation, step)),
        StepStatus::Ready => {
            reasons.push(match (situation.served, step.not_before) {
                (false, _) => "no engine is running: `stepwell resume` or `stepwell worker` starts one".to_owned(),
                (true, Some(at)) if at > jiff::Timestamp::now() => format!("waits to be retried at {at}"),
                (true, _) => limits(situation, step)?.unwrap_or_else(|| "waits for a free slot".to_owned()),
            });
        }
        StepStatus::Skipped => reasons.extend(step.skip_reason.clone()),
        StepStatus::Failed => reasons.extend(step.failure.iter().map(ToString::to_string)),
        StepStatus::Waiting => reasons.push(match &step.wait {
            Some(Wait::Approval { .. }) => {
                format!("waits for a person: `stepwell approve {} {}`", situation.run.name, step.id)
            }
            Some(Wait::Signal { name }) => {
                format!("waits for a signal: `stepwell signal {} {name}`", situation.run.name)
            }
            Some(Wait::Run { run }) => format!("waits for the child run {run}"),
            None => "waits".to_owned(),
        }),
        StepStatus::Expanded => reasons.push("waits for its items".to_owned()),
        StepStatus::Running | StepStatus::Succeeded | StepStatus::Canceled => {}
    }
    if let Some(from) = step.reused_from {
        reasons.push(format!("its key equals that of a step that succeeded in run {from}: nothing was run"));
    } else if let Some(new) = &step.with {
        reasons.extend(why_it_ran(situation, &step.id, new)?);
    }
    Ok(reasons)
}

fn waits(situation: &Situation<'_>, step: &StepRow) -> Vec<String> {
    let template = step.parent.as_ref().unwrap_or(&step.id);
    let needs = situation.spec.steps.iter().find(|spec| spec.id == *template).map_or(&[][..], |spec| &spec.needs);
    let unmet = needs.iter().filter_map(|need| situation.steps.iter().find(|other| other.id == *need));
    unmet
        .filter(|other| other.status != StepStatus::Succeeded)
        .map(|other| format!("waits for `{}`, which is {}", other.id, other.status.as_str()))
        .collect()
}

fn why_it_ran(situation: &Situation<'_>, step: &StepId, new: &Value) -> Result<Vec<String>, CliError> {
    let before: RunId = situation.run.id;
    let Some(previous) = situation.reader.previous_step(&situation.run.workflow, step, before)? else {
        return Ok(vec!["it ran because no earlier run of this workflow has this step".to_owned()]);
    };
    let Some(old) = &previous.with else {
        return Ok(vec!["it ran because it did not start in the run before".to_owned()]);
    };
    let changes = key::difference(old, new);
    if changes.is_empty() {
        return Ok(vec![match previous.status {
            StepStatus::Succeeded => {
                "it ran although nothing changed: this kind always runs, or reuse was off".to_owned()
            }
            status => format!("it ran because it was {} in the run before", status.as_str()),
        }]);
    }
    Ok(changes.iter().map(|change| format!("it ran because {change}")).collect())
}
