//! Words for people in place of the statuses that the database and JSON use.

use stepwell_run::event::{Ruling, Verdict};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::StepRow;

/// The status of a step. A fan-out is at work while its items are, and an attempt stands still with its run.
pub fn step_status(step: &StepRow, run: RunStatus) -> &'static str {
    let at_work = match step.status {
        StepStatus::Running | StepStatus::Expanded => true,
        StepStatus::Ready => step.attempts > 0,
        _ => false,
    };
    match (run, step.status) {
        (RunStatus::Interrupted, _) if at_work => "interrupted",
        (RunStatus::Paused, StepStatus::Ready | StepStatus::Expanded) if at_work => "paused",
        (_, StepStatus::Expanded) => "running",
        (_, status) => status.as_str(),
    }
}

/// The same in a sentence: `is ready`, `has succeeded`; of several steps `are` and `have`.
pub fn step_is(step: &StepRow, run: RunStatus, number: usize) -> String {
    let status = step_status(step, run);
    let is_past = matches!(step.status, StepStatus::Succeeded | StepStatus::Failed);
    let verb = match (is_past, number) {
        (true, 1) => "has",
        (true, _) => "have",
        (false, 1) => "is",
        (false, _) => "are",
    };
    format!("{verb} {status}")
}

/// A rule passes; a person approves.
pub fn verdict(ruling: &Ruling) -> &'static str {
    match (&ruling.approver, ruling.verdict) {
        (None, Verdict::Approved) => "passed",
        (None, Verdict::Rejected) => "not passed",
        (Some(_), verdict) => verdict.as_str(),
    }
}

/// A number with its noun, such as `1 item` or `3 items`.
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
