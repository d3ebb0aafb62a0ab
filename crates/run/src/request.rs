//! Requests of other processes to the engine: a row in the database, and a byte that wakes the engine.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::Verdict;
use stepwell_base::ids::StepId;
use stepwell_workflow::budget::Budget;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Request {
    /// End the run for good.
    Cancel,
    /// Let attempts write a checkpoint and stop; claim nothing until `Resume`.
    Pause { reason: String },
    /// Continue a paused, interrupted or failed run.
    Resume,
    /// Retry a failed step, or all of them, while the rest of the run continues.
    Retry { step: Option<StepId> },
    /// Answer a step that waits for a person.
    Decide { step: StepId, verdict: Verdict, approver: String, comment: Option<String> },
    /// Raise the budget: limits set in `to` replace the current ones.
    RaiseBudget { to: Budget },
    /// Send a signal to a step that waits for this name, now or later.
    Signal { name: String, payload: Value },
}

impl Request {
    pub fn kind(&self) -> &'static str {
        match self {
            Request::Cancel => "cancel",
            Request::Pause { .. } => "pause",
            Request::Resume => "resume",
            Request::Retry { .. } => "retry",
            Request::Decide { .. } => "decide",
            Request::RaiseBudget { .. } => "raise_budget",
            Request::Signal { .. } => "signal",
        }
    }
}
