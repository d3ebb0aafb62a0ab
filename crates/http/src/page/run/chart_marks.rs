//! What the charts of a run show: its step with a series, and the places that need a mark.

use serde_json::json;

use crate::problem::Problem;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, RunRow, StepCounts};

/// Runs with more steps than this have no charts: to look for series would take too long.
const MOST_STEPS: u64 = 5000;
const MOST_MARKS: usize = 200;

/// A step with a series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charted {
    pub run: RunId,
    pub step: StepId,
}

/// The steps of a run that have series.
pub fn with_series(reader: &Reader, run: &RunRow, counts: &StepCounts) -> Result<Vec<StepId>, Problem> {
    if counts.total > MOST_STEPS {
        return Ok(Vec::new());
    }
    let forked = match &run.options.origin {
        Some(Origin::Fork { at, train_step: Some(_), .. }) => Some(at),
        _ => None,
    };
    Ok(reader.series_steps(run.id, forked)?.into_iter().map(|step| step.id).collect())
}

/// The step to show first: the one at work, else the last one.
pub fn charted(reader: &Reader, run: &RunRow, counts: &StepCounts) -> Result<Option<Charted>, Problem> {
    let steps = with_series(reader, run, counts)?;
    let running = reader.running_steps(run.id)?;
    let at_work = steps.iter().find(|step| running.iter().any(|row| row.id == **step));
    Ok(at_work.or(steps.last()).map(|step| Charted { run: run.id, step: step.clone() }))
}

/// Where attempts resumed, phases ended and the run was forked, as JSON for the script.
pub fn marks(reader: &Reader, run: &RunRow, step: &StepId) -> Result<String, Problem> {
    let mut marks = Vec::new();
    if let Some(Origin::Fork { at, train_step: Some(train_step), .. }) = &run.options.origin
        && at == step
    {
        marks.push(json!({ "kind": "fork", "at": train_step, "text": "fork" }));
    }
    // The first attempt starts, later ones resume.
    for (attempt, at) in reader.attempt_starts(run.id, step)?.into_iter().skip(1) {
        marks.push(json!({ "kind": "resume", "at": at, "text": format!("attempt {attempt}") }));
    }
    let ends = reader.checkpoints(run.id, step)?.into_iter().rev().filter(|row| row.checkpoint.permanent);
    marks.extend(ends.filter_map(|row| {
        let (phase, at) = (row.checkpoint.phase?, row.checkpoint.last_step?);
        Some(json!({ "kind": "phase", "at": at, "text": format!("end of {phase}") }))
    }));
    marks.truncate(MOST_MARKS);
    Ok(json!(marks).to_string())
}
