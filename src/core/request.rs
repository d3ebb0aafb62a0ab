//! What other processes ask of the engine: a row in the database, and a byte that wakes it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::Budget;
use super::event::Verdict;
use super::ids::StepId;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Request {
    /// End the run for good.
    Cancel,
    /// Let attempts write a checkpoint and stop; claim nothing until `Resume`.
    Pause { reason: String },
    /// Go on with a paused, interrupted or failed run.
    Resume,
    /// Try a failed step again, or all of them, while the rest of the run goes on.
    Retry { step: Option<StepId> },
    /// Answer a step that waits for a person.
    Decide { step: StepId, verdict: Verdict, approver: String, comment: Option<String> },
    /// Let the run use more: these limits replace those that it has.
    RaiseBudget { to: Budget },
    /// For a step that waits for a signal of this name, now or later.
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
