//! Chooses the series that a person means: all steps of some runs that have one, or one step of each.

use super::MetricsArgs;
use crate::drive::mistakes::Words;
use crate::error::CliError;
use crate::view::output::short_id;
use crate::view::run_handle::handle;
use crate::view::series::Legend;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, RunRow, SeriesStep, StoreError};

/// A series, before it is loaded.
pub(super) struct Chosen {
    pub(super) run: RunId,
    pub(super) step: StepId,
    pub(super) legend: Legend,
}

pub(super) fn choose(reader: &Reader, args: &MetricsArgs) -> Result<Vec<Chosen>, CliError> {
    let (runs, step) = runs_and_step(reader, args)?;
    let mut chosen = Vec::new();
    for run in &runs {
        let row = reader.run(*run)?;
        if let Some(at) = row.pruned_at {
            return Err(StoreError::Pruned { run: *run, at }.into());
        }
        let spec = reader.spec(*run)?;
        let step = step.as_deref().map(|step| reader.resolve_step(*run, step)).transpose()?;
        let found = series_of(reader, &row, step.as_ref())?;
        if found.is_empty() {
            return Err(nothing(reader, &row, step.as_ref()));
        }
        for SeriesStep { id, item, .. } in found {
            let origin = origin(reader, &row, &id)?;
            let legend =
                Legend { run: row.name.clone(), step: id.to_string(), item, params: spec.params.clone(), origin };
            chosen.push(Chosen { run: *run, step: id, legend });
        }
    }
    Ok(chosen)
}

/// The last of several words may be a step of the first run.
fn runs_and_step(reader: &Reader, args: &MetricsArgs) -> Result<(Vec<RunId>, Option<String>), CliError> {
    let mut words: Vec<&str> = args.runs.iter().map(String::as_str).collect();
    let mut step = args.step.clone();
    let Some(first) = words.first() else { return Ok((Vec::new(), step)) };
    let second = words.get(1).copied().or(step.as_deref());
    let asked = Words { verb: "metrics", run: first, step: second };
    let first = reader.resolve_run(first).map_err(|error| match (&error, asked.meant(reader)) {
        (StoreError::UnknownRun { .. }, Some(hint)) => CliError::not_found(error).hint(hint),
        _ => error.into(),
    })?;
    if let ([_, .., last], None) = (words.as_slice(), &step) {
        let is_step = match reader.resolve_step(first, last) {
            Err(StoreError::UnknownStep { .. }) => false,
            found => found.map(|_| true)?,
        };
        match (is_step, reader.resolve_run(last)) {
            (true, Ok(_)) => {
                return Err(CliError::usage(format!("`{last}` is a step and a run"))
                    .hint(format!("write `--step {}` for the step, or the id of the run", shell::quote(last))));
            }
            (true, Err(_)) => {
                step = Some((*last).to_owned());
                words.pop();
            }
            (false, Err(StoreError::UnknownRun { .. })) => {
                let run = reader.run(first)?;
                let name = &run.name;
                return Err(CliError::not_found(format!("`{last}` is neither a run nor a step of run {name}"))
                    .hint(format!("{} lists its steps", shell::stepwell("show", [&*handle(reader, &run)]))));
            }
            (false, _) => {}
        }
    }
    let mut runs: Vec<RunId> = Vec::new();
    for word in words {
        let run = reader.resolve_run(word)?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    Ok((runs, step))
}

/// The steps of a run that have a series; a fan-out stands for its children.
fn series_of(reader: &Reader, run: &RunRow, step: Option<&StepId>) -> Result<Vec<SeriesStep>, CliError> {
    let forked = match &run.options.origin {
        Some(Origin::Fork { at, train_step: Some(_), .. }) => Some(at),
        _ => None,
    };
    let mut found = reader.series_steps(run.id, forked)?;
    if let Some(step) = step {
        let is_child = |id: &StepId| id.as_str().strip_prefix(step.as_str()).is_some_and(|rest| rest.starts_with('['));
        found.retain(|found| found.id == *step || is_child(&found.id));
    }
    Ok(found)
}

fn nothing(reader: &Reader, run: &RunRow, step: Option<&StepId>) -> CliError {
    const WHO: &str = "trainings have them, and programs that write `$STEPWELL_METRICS`";
    let name = &run.name;
    match step {
        None => CliError::not_found(format!("run {name} ({}) has no metrics", short_id(run.id)))
            .hint(format!("{WHO}; {} lists the steps", shell::stepwell("show", [&*handle(reader, run)]))),
        Some(step) => CliError::not_found(format!("step `{step}` of run {name} has no metrics")).hint(WHO),
    }
}

fn origin(reader: &Reader, run: &RunRow, step: &StepId) -> Result<Option<String>, CliError> {
    Ok(match &run.options.origin {
        Some(Origin::Fork { run: parent, at, train_step: Some(train_step) }) if at == step => {
            let name = reader.run(*parent).map_or_else(|_| short_id(*parent), |row| row.name);
            Some(format!("forked from {name} at {at}:{train_step}"))
        }
        _ => None,
    })
}
