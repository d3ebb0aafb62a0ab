//! Ids of traces and spans, which follow from what they are of.

use stepwell_base::ids::{RunId, StepId};

/// The trace of a run and of its child runs: the id of the outermost run.
pub(super) fn trace(outermost: RunId) -> [u8; 16] {
    outermost.0.into_bytes()
}

/// The span of a run: the first, or one for each time that it was resumed after an end.
pub(super) fn of_run(run: RunId, ends_before: u64) -> [u8; 8] {
    span(run, "", "run", ends_before)
}

/// The span of a step: the first, or one for each time that it was tried again after it had failed for good.
pub(super) fn of_step(run: RunId, step: &StepId, failures_before: u64) -> [u8; 8] {
    span(run, step.as_str(), "step", failures_before)
}

pub(super) fn of_attempt(run: RunId, step: &StepId, attempt: u32) -> [u8; 8] {
    span(run, step.as_str(), "attempt", u64::from(attempt))
}

fn span(run: RunId, step: &str, what: &str, number: u64) -> [u8; 8] {
    let hash = blake3::hash(format!("{run} {what} {number} {step}").as_bytes());
    let mut id: [u8; 8] = std::array::from_fn(|index| hash.as_bytes()[index]);
    // All zeros stand for no span.
    if id == [0; 8] {
        id[7] = 1;
    }
    id
}
