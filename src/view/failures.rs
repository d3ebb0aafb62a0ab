//! The steps that made a run fail.

use crate::error::CliError;
use stepwell_base::ids::RunId;
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, StepRow};

/// Most failed steps in one report.
pub const MOST_FAILURES: usize = 10;

/// A failed step and its full message.
pub fn failure_text(step: &StepRow) -> Option<String> {
    Some(format!("step `{}`: {}", step.id, step.failure.as_ref()?))
}

/// The steps that failed for good, without the fan-outs that failed with them.
pub fn failed_steps(reader: &Reader, run: RunId) -> Result<Vec<StepRow>, CliError> {
    let mut steps = reader.unfinished(run)?;
    steps.retain(|step| step.status == StepStatus::Failed && step.children.is_none_or(|children| children.failed == 0));
    Ok(steps)
}
