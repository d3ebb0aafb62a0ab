//! Checks that changed params leave a fork the checkpoint that it continues from.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use super::earlier_run::EarlierRun;
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::StepId;
use stepwell_steps::{Misfit, catalog, find};
use stepwell_workflow::parse;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};
use stepwell_workflow::template::with_params;

/// # Errors
/// `Usage` when a param changes what the checkpoint depends on; names the params and the way out.
pub(super) fn check(
    session: &Session,
    source: &EarlierRun,
    step: &StepId,
    checkpoint: &Checkpoint,
) -> Result<(), CliError> {
    let Some(at) = checkpoint.last_step.filter(|_| !source.set.is_empty()) else { return Ok(()) };
    let refused = |params: Vec<String>, why: String| {
        let (names, verb) = match params.as_slice() {
            [one] => (format!("`{one}`"), "changes"),
            many => (many.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and "), "change"),
        };
        CliError::usage(format!("{names} {verb} {why}"))
            .hint(format!("fork at the whole step: `--at {step}` runs it from its start"))
    };
    let Some(handler) = find(source.kind(step)) else { return Ok(()) };
    for input in handler.fixed_by_checkpoint() {
        if let Some(params) = changing(source, step, input) {
            let why = format!("the {input}, which the checkpoint of step {at} depends on");
            return Err(refused(params, why));
        }
    }
    let misfit = |spec: &WorkflowSpec| misfit(session, spec, step, checkpoint);
    match misfit(&source.spec) {
        None => Ok(()),
        Some(Misfit::Shape) => {
            let alone = |pair: &&(String, String)| {
                let spec = parse::pinned(source.earlier.clone(), "", std::slice::from_ref(*pair), &catalog());
                spec.is_ok_and(|spec| misfit(&spec).is_some())
            };
            let culprits: Vec<String> = source.set.iter().filter(alone).map(|(name, _)| name.clone()).collect();
            let params = if culprits.is_empty() { named_in(source, [step]) } else { culprits };
            Err(refused(params, format!("the shape of the model, so the checkpoint of step {at} does not fit")))
        }
        Some(Misfit::BehindTheEnd { steps }) => Err(CliError::usage(format!(
            "the checkpoint of step {at} lies behind the end of a training of {steps} steps"
        ))
        .hint(format!("fork at an earlier checkpoint, or train for more than {at} steps"))),
    }
}

/// The reason why the checkpoint does not fit the changed arguments of its step.
fn misfit(session: &Session, spec: &WorkflowSpec, step: &StepId, checkpoint: &Checkpoint) -> Option<Misfit> {
    let index = spec.steps.iter().position(|spec| spec.id == *step)?;
    let with = parse::known_arguments(spec, &catalog()).into_iter().nth(index)??;
    let artifacts = session.artifacts().ok()?;
    let files = artifacts.read_tree(checkpoint.artifact.as_ref()?).ok()?.entries;
    let file = |name: &str| artifacts.read(files.get(name)?).ok();
    find(&spec.steps.get(index)?.kind)?.misfit(&with, &file)
}

/// The params that change the input of a step, if there are any.
fn changing(source: &EarlierRun, step: &StepId, input: &str) -> Option<Vec<String>> {
    let spec = &source.spec;
    let argument = spec.steps.iter().find(|spec| spec.id == *step)?.with.get(input)?.to_string();
    let mut above: BTreeSet<&StepId> =
        spec.steps.iter().filter(|other| names_step(&argument, &other.id)).map(|other| &other.id).collect();
    loop {
        let needed = spec.steps.iter().filter(|other| above.contains(&other.id)).flat_map(|other| &other.needs);
        let more: Vec<&StepId> = needed.filter(|need| !above.contains(need)).collect();
        if more.is_empty() {
            break;
        }
        above.extend(more);
    }
    let changed: Vec<&StepId> = above.into_iter().filter(|id| is_changed(source, id)).collect();
    (!changed.is_empty()).then(|| named_in(source, changed))
}

/// True if a step has other arguments, items or conditions than in the earlier run.
fn is_changed(source: &EarlierRun, step: &StepId) -> bool {
    let of = |spec: &'_ WorkflowSpec| {
        let step = spec.steps.iter().find(|spec| spec.id == *step)?;
        Some((with_params(&step.with, &spec.params), expressions(step, spec)))
    };
    of(&source.spec) != of(&source.earlier)
}

/// The params that the expressions of a step name, with their values.
fn expressions(step: &StepSpec, spec: &WorkflowSpec) -> Vec<(String, Value)> {
    let texts: Vec<&String> = step.for_each.iter().chain(&step.when).collect();
    let named =
        spec.params.iter().filter(|(name, _)| texts.iter().any(|text| text.contains(&format!("params.{name}"))));
    named.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The changed params that these steps name; all of them if none is named.
fn named_in<'a>(source: &'a EarlierRun, steps: impl IntoIterator<Item = &'a StepId>) -> Vec<String> {
    let steps: Vec<&StepId> = steps.into_iter().collect();
    let texts: Vec<String> = source.spec.steps.iter().filter(|spec| steps.contains(&&spec.id)).map(text).collect();
    let names: BTreeSet<&str> = source.set.iter().map(|(name, _)| name.split('.').next().unwrap_or(name)).collect();
    let is_named = |name: &&str| texts.iter().any(|text| text.contains(&format!("params.{name}")));
    let named: Vec<String> = names.iter().copied().filter(is_named).map(str::to_owned).collect();
    if named.is_empty() { names.into_iter().map(str::to_owned).collect() } else { named }
}

fn text(step: &StepSpec) -> String {
    let with = Value::from(step.with.clone()).to_string();
    std::iter::once(with).chain(step.for_each.clone()).chain(step.when.clone()).collect::<Vec<_>>().join(" ")
}

fn names_step(text: &str, id: &StepId) -> bool {
    text.contains(&format!("steps.{id}."))
        || text.contains(&format!("steps.{id} "))
        || text.contains(&format!("\\\"{id}\\\""))
}
