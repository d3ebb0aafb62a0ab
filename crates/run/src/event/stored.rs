//! The JSON of an event in the log: one flat object, whose `type` names the event. Field order is part of the format,
//! because the log hashes the text.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alert::Alert;
use super::cause::{PauseCause, ReleaseCause};
use super::record::{Event, ProcessIdentity, RunEvent, StepEvent, StepEventKind};
use super::wait::{Ruling, Wait};
use crate::run_options::RunOptions;
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_workflow::budget::Budget;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[rustfmt::skip]
pub(super) enum Stored {
    RunSubmitted {
        name: String,
        workflow: String,
        spec_digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idempotency_key: Option<String>,
        #[serde(default, skip_serializing_if = "RunOptions::is_default")]
        options: RunOptions,
    },
    RunStarted,
    RunInterrupted { reason: String },
    RunPaused {
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<PauseCause>,
    },
    RunAlerted { alert: Alert, message: String },
    RunBudgetRaised { budget: Budget },
    SignalReceived { name: String, payload: Value },
    RunCancelRequested,
    RunCanceled,
    RunSucceeded,
    RunFailed { step: StepId, failure: Failure },
    RunResumed,
    RunPruned,

    StepReady { step: StepId, not_before: Timestamp },
    StepExpanded { step: StepId, items: Vec<Value> },
    StepReused { step: StepId, key: StepKey, with: Value, from: RunId, outputs: Outputs },
    StepWaiting { step: StepId, wait: Wait },
    StepDecided { step: StepId, ruling: Ruling },
    CheckpointAdopted { step: StepId, from: RunId, checkpoint: Checkpoint },
    StepSkipped { step: StepId, reason: String },
    StepCanceled { step: StepId },
    StepFailed { step: StepId, failure: Failure },

    StepSucceeded { step: StepId, fence: Fence, outputs: Outputs },
    AttemptStarted {
        step: StepId,
        attempt: u32,
        fence: Fence,
        key: StepKey,
        with: Value,
        lease_expires_at: Timestamp,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        resources: BTreeMap<String, Vec<String>>,
    },
    AttemptSpawned { step: StepId, fence: Fence, process: ProcessIdentity },
    AttemptRewound { step: StepId, fence: Fence, last_step: u64 },
    AttemptFailed { step: StepId, fence: Fence, failure: Failure },
    AttemptReleased {
        step: StepId,
        fence: Fence,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<ReleaseCause>,
    },
    CheckpointCommitted { step: StepId, fence: Fence, checkpoint: Checkpoint },
    Note { step: StepId, fence: Fence, message: String },
}

#[derive(Debug, thiserror::Error)]
#[error("an event of an attempt has no fence")]
pub(super) struct NoFence;

/// Writes both conversions from one table: the stored name, the name in memory, the fields that both have.
macro_rules! conversions {
    (
        run { $($run:ident = $run_kind:ident $({ $($run_field:ident),* })?;)* }
        step { $($step:ident = $step_kind:ident { $($step_field:ident),* };)* }
        under_a_fence { $($fenced:ident = $fenced_kind:ident { $($fenced_field:ident),* };)* }
    ) => {
        impl From<Stored> for Event {
            fn from(stored: Stored) -> Event {
                match stored {
                    $(Stored::$run $({ $($run_field),* })? => Event::Run(RunEvent::$run_kind $({ $($run_field),* })?),)*
                    $(Stored::$step { step, $($step_field),* } => StepEventKind::$step_kind { $($step_field),* }.of(step),)*
                    $(Stored::$fenced { step, fence, $($fenced_field),* } => {
                        StepEventKind::$fenced_kind { $($fenced_field),* }.under(step, fence)
                    })*
                }
            }
        }

        impl TryFrom<Event> for Stored {
            type Error = NoFence;

            fn try_from(event: Event) -> Result<Stored, NoFence> {
                let StepEvent { step, fence, kind } = match event {
                    $(Event::Run(RunEvent::$run_kind $({ $($run_field),* })?) => {
                        return Ok(Stored::$run $({ $($run_field),* })?);
                    })*
                    Event::Step(event) => event,
                };
                Ok(match kind {
                    $(StepEventKind::$step_kind { $($step_field),* } => Stored::$step { step, $($step_field),* },)*
                    $(StepEventKind::$fenced_kind { $($fenced_field),* } => {
                        Stored::$fenced { step, fence: fence.ok_or(NoFence)?, $($fenced_field),* }
                    })*
                })
            }
        }
    };
}

conversions! {
    run {
        RunSubmitted = Submitted { name, workflow, spec_digest, idempotency_key, options };
        RunStarted = Started;
        RunInterrupted = Interrupted { reason };
        RunPaused = Paused { reason, cause };
        RunAlerted = Alerted { alert, message };
        RunBudgetRaised = BudgetRaised { budget };
        SignalReceived = SignalReceived { name, payload };
        RunCancelRequested = CancelRequested;
        RunCanceled = Canceled;
        RunSucceeded = Succeeded;
        RunFailed = Failed { step, failure };
        RunResumed = Resumed;
        RunPruned = Pruned;
    }
    step {
        StepReady = Ready { not_before };
        StepExpanded = Expanded { items };
        StepReused = Reused { key, with, from, outputs };
        StepWaiting = Waiting { wait };
        StepDecided = Decided { ruling };
        CheckpointAdopted = CheckpointAdopted { from, checkpoint };
        StepSkipped = Skipped { reason };
        StepCanceled = Canceled {};
        StepFailed = Failed { failure };
    }
    under_a_fence {
        StepSucceeded = Succeeded { outputs };
        AttemptStarted = AttemptStarted { attempt, key, with, lease_expires_at, resources };
        AttemptSpawned = AttemptSpawned { process };
        AttemptRewound = AttemptRewound { last_step };
        AttemptFailed = AttemptFailed { failure };
        AttemptReleased = AttemptReleased { reason, cause };
        CheckpointCommitted = CheckpointCommitted { checkpoint };
        Note = Note { message };
    }
}
