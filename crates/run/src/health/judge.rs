//! Applies every rule to every reading.

use super::problem::{Finding, Problem};
use super::readings::{Readings, StepReadings};
use super::rules;

/// Names every problem, the worst first; empty while all is well.
pub fn judge(readings: &Readings) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for step in &readings.steps {
        let problems = of_step(step, readings).into_iter();
        found.extend(problems.map(|problem| Finding { step: Some(step.step.clone()), problem }));
    }
    let checkpoint = readings.steps.iter().map(|step| step.checkpoint_bytes).max().unwrap_or(0);
    let machine = [rules::disk(&readings.machine, checkpoint), rules::memory(&readings.machine)];
    found.extend(machine.into_iter().flatten().map(|problem| Finding { step: None, problem }));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.problem.severity()));
    found
}

fn of_step(step: &StepReadings, readings: &Readings) -> Vec<Problem> {
    let now = readings.now;
    let found = [
        rules::not_a_number(&step.losses),
        rules::stalled(step, now),
        rules::spike(&step.losses),
        rules::validation(&step.validations),
        rules::checkpoint(step, now),
    ];
    found.into_iter().flatten().collect()
}
