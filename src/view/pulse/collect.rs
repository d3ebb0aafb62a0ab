//! Collects the pulse of a run with a bounded number of short queries.

use std::ops::ControlFlow;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::machine::machine_readings;
use crate::error::CliError;
use crate::view::effort::Effort;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::Measurement;
use stepwell_run::estimate::ProgressMark;
use stepwell_run::health::{Finding, Readings, StepReadings, judge};
use stepwell_store::{Reader, StoreError};

/// Steps that are shown; a fan-out may have many at work.
const MOST_STEPS: usize = 4;
/// Points of a curve in one line.
const POINTS: u64 = 32;
const LOSS: &str = "loss";
const SPEED: &str = "tokens_per_second";

pub struct Pulse {
    pub steps: Vec<StepPulse>,
    /// Running steps that are not in the list.
    pub more: usize,
    /// Such as `about 3.0 min`.
    pub left: Option<String>,
    pub seconds_left: Option<f64>,
    pub health: Vec<Finding>,
}

pub struct StepPulse {
    pub step: StepId,
    pub progress: Option<ProgressMark>,
    /// Evenly over all training steps.
    pub losses: Vec<f64>,
    pub loss: Option<f64>,
    /// The newest validations.
    pub validations: Vec<f64>,
    pub tokens_per_second: Option<f64>,
}

pub fn collect(reader: &Reader, run: RunId, effort: &Effort) -> Result<Pulse, CliError> {
    let readings = reader.health_readings(run)?;
    let shown = readings.iter().take(MOST_STEPS);
    let steps = shown.map(|step| of_step(reader, run, step)).collect::<Result<Vec<_>, StoreError>>()?;
    let more = readings.len() - steps.len();
    let health =
        judge(&Readings { now: Timestamp::now(), steps: readings, machine: machine_readings(reader.state_dir()) });
    Ok(Pulse { steps, more, left: effort.remaining(), seconds_left: effort.seconds_left(), health })
}

fn of_step(reader: &Reader, run: RunId, readings: &StepReadings) -> Result<StepPulse, StoreError> {
    let newest = reader.newest_measurement(run, &readings.step)?;
    let value = |name: &str| newest.as_ref().and_then(|row| row.values.get(name)).copied();
    Ok(StepPulse {
        step: readings.step.clone(),
        progress: readings.progress,
        losses: losses(reader, run, &readings.step)?,
        loss: value(LOSS),
        validations: readings.validations.iter().map(|(_, loss)| *loss).collect(),
        tokens_per_second: value(SPEED),
    })
}

/// Losses evenly over a series, each by one look into the index.
fn losses(reader: &Reader, run: RunId, step: &StepId) -> Result<Vec<f64>, StoreError> {
    let (Some(first), Some(last)) = (reader.measured_from(run, step)?, reader.measured_up_to(run, step)?) else {
        return Ok(Vec::new());
    };
    let points = POINTS.min(last - first + 1);
    let mut losses = Vec::new();
    let mut after = None;
    for point in 0..points {
        let from = first + (last - first) * point / (points - 1).max(1);
        let before = from.checked_sub(1);
        // Rows may have gaps: no row stands for two points.
        let start = before.max(after);
        let keep = |row: Measurement| {
            after = Some(row.train_step);
            losses.extend(row.values.get(LOSS));
            ControlFlow::Break(())
        };
        reader.each_measurement((run, step), start, None, keep)?;
    }
    Ok(losses)
}

impl Pulse {
    pub fn json(&self, run: RunId) -> Value {
        let step = |step: &StepPulse| {
            json!({
                "step": step.step,
                "done": step.progress.map(|mark| mark.done),
                "total": step.progress.map(|mark| mark.total),
                "loss": step.loss,
                "val_loss": step.validations.last(),
                "tokens_per_second": step.tokens_per_second,
            })
        };
        let finding = |finding: &Finding| {
            json!({
                "code": finding.problem.code(),
                "severity": finding.problem.severity().as_str(),
                "step": finding.step,
                "text": finding.problem.to_string(),
            })
        };
        json!({
            "type": "status",
            "run": run,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "estimated_seconds_left": self.seconds_left,
            "health": self.health.iter().map(finding).collect::<Vec<_>>(),
        })
    }
}
