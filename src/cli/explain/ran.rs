//! Why a step ran, or did not have to: compared with the run before.

use serde_json::Value;

use super::{Reason, Situation};
use crate::cli::error::CliError;
use crate::core::ids::{RunId, StepId, StepKey};
use crate::core::key::{Change, difference, step_key};
use crate::core::provenance::FINGERPRINT;
use crate::core::run_options::{Origin, Reuse};
use crate::core::status::StepStatus;
use crate::steps;
use crate::store::{Reader, StepRow};

/// Versions of a kind that a key is tried with.
const VERSIONS: std::ops::Range<u32> = 0..256;

pub(super) fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<Reason>, CliError> {
    if let Some(from) = step.reused_from {
        let message = format!("its key equals that of a step that succeeded in run {from}: nothing was run");
        return Ok(vec![Reason::new("reused", message)]);
    }
    let Some(new) = &step.with else { return Ok(Vec::new()) };
    let mut reasons: Vec<Reason> = asked_for(situation, step).into_iter().collect();
    let Some((before, previous)) = baseline(situation, &step.id)? else {
        reasons.push(Reason::new("first", "it ran because no earlier run of this workflow has run this step"));
        return Ok(reasons);
    };
    let Some(old) = &previous.with else {
        reasons.push(Reason::new("not_started", format!("it ran because it did not start in run {before}")));
        return Ok(reasons);
    };
    let changes = difference(old, new);
    if !changes.is_empty() {
        reasons.extend(changes.into_iter().map(changed));
    } else if previous.key != step.key {
        reasons.push(version_changed(&previous, step));
    } else if reasons.is_empty() {
        reasons.push(nothing_changed(situation, &previous, step, before)?);
    }
    Ok(reasons)
}

/// The run that this one repeats, or the newest earlier one of the workflow, if it has the step.
fn baseline(situation: &Situation<'_>, step: &StepId) -> Result<Option<(RunId, StepRow)>, CliError> {
    let run = situation.run;
    if let Some(source) = run.options.origin.as_ref().and_then(Origin::source)
        && let Some(row) = situation.reader.find_step(source, step)?
    {
        return Ok(Some((source, row)));
    }
    Ok(situation.reader.previous_step(&run.workflow, step, run.id)?)
}

/// Whoever submitted the run wanted this step to run.
fn asked_for(situation: &Situation<'_>, step: &StepRow) -> Option<Reason> {
    let options = &situation.run.options;
    let id = step.parent.as_ref().unwrap_or(&step.id);
    if options.reuse.allows(id) {
        return None;
    }
    let message = match (&options.reuse, &options.origin) {
        (Reuse::Never, _) => "it ran because the run was started with `--no-reuse`".to_owned(),
        (_, Some(Origin::Rerun { run, from_step })) => {
            format!("it ran because run {run} was rerun from step `{from_step}`")
        }
        (_, Some(Origin::Fork { run, at, train_step: Some(train_step) })) if at == id => {
            format!("it went on from training step {train_step} of run {run}")
        }
        (_, Some(Origin::Fork { run, at, .. })) => format!("it ran because run {run} was forked at `{at}`"),
        _ => "it ran because the run was told to run it".to_owned(),
    };
    Some(Reason::new("asked_for", message))
}

fn changed(change: Change) -> Reason {
    let fingerprint = format!("{FINGERPRINT}.");
    let file = |group: &str| change.path.strip_prefix(&format!("{fingerprint}{group}."));
    let message = if let Some(path) = file("inputs").or_else(|| file("argv")) {
        let (old, new) = (change.old.as_deref().unwrap_or("nothing"), change.new.as_deref().unwrap_or("nothing"));
        format!("it ran because the content of `{path}` changed {old} -> {new}")
    } else {
        let path = change.path.strip_prefix(&fingerprint).unwrap_or(&change.path).to_owned();
        format!("it ran because {}", Change { path, ..change.clone() })
    };
    Reason { change: Some(change), ..Reason::new("changed", message) }
}

/// Equal arguments and another key: only the kind, or its version, is left.
fn version_changed(previous: &StepRow, step: &StepRow) -> Reason {
    let name = |version: Option<u32>| version.map_or_else(|| "?".to_owned(), |version| version.to_string());
    let (old, new) = (name(version_of(previous)), name(version_of(step)));
    let message = if previous.kind == step.kind {
        format!("it ran because version {new} of `{}` gives other outputs than version {old}", step.kind)
    } else {
        format!("it ran because its kind changed `{}` -> `{}`", previous.kind, step.kind)
    };
    Reason::new("kind_version", message)
}

/// The version with which the key of a step was made; keys do not tell, but they can be made again.
fn version_of(step: &StepRow) -> Option<u32> {
    let (mut with, key) = (step.with.clone()?, step.key.as_ref()?);
    let fingerprint = with.as_object_mut().and_then(|with| with.remove(FINGERPRINT)).unwrap_or(Value::Null);
    VERSIONS.into_iter().find(|version| step_key(&step.kind, *version, &with, &fingerprint) == *key)
}

fn nothing_changed(
    situation: &Situation<'_>,
    previous: &StepRow,
    step: &StepRow,
    before: RunId,
) -> Result<Reason, CliError> {
    let elsewhere = previous.status == StepStatus::Succeeded
        || has_succeeded(situation.reader, step.key.as_ref(), situation.run.id)?;
    if !elsewhere {
        let message = format!("it ran because it was {} in run {before}", previous.status.as_str());
        return Ok(Reason::new("not_done_before", message));
    }
    let reusable = match (steps::find(&step.kind), &step.with) {
        (Some(handler), Some(with)) => handler.reusable(&without_fingerprint(with)),
        _ => true,
    };
    Ok(if reusable {
        Reason::new(
            "outputs_gone",
            format!("it ran although nothing changed since run {before}: the earlier outputs were gone"),
        )
    } else {
        let message =
            format!("it ran although nothing changed since run {before}: a `{}` like this is never reused", step.kind);
        Reason::new("never_reused", message)
    })
}

fn without_fingerprint(with: &Value) -> Value {
    let mut with = with.clone();
    if let Some(arguments) = with.as_object_mut() {
        arguments.remove(FINGERPRINT);
    }
    with
}

/// In a run other than this one.
fn has_succeeded(reader: &Reader, key: Option<&StepKey>, run: RunId) -> Result<bool, CliError> {
    let Some(key) = key else { return Ok(false) };
    Ok(reader.find_reusable(key)?.is_some_and(|(from, _)| from != run))
}
