//! The JSON of an event in the log: one flat object, whose `type` names the event. Field order is part of the format,
//! because the log hashes the text. Fields are borrowed, so that writing an event copies nothing.
#![expect(clippy::owned_cow, clippy::ptr_arg, reason = "an event owns its text, and serde passes a field as it is")]

use std::borrow::Cow;
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
pub(super) enum Stored<'a> {
    RunSubmitted {
        name: Cow<'a, String>,
        workflow: Cow<'a, String>,
        spec_digest: Cow<'a, String>,
        #[serde(default, skip_serializing_if = "is_none")]
        idempotency_key: Cow<'a, Option<String>>,
        #[serde(default, skip_serializing_if = "is_default")]
        options: Cow<'a, RunOptions>,
    },
    RunStarted,
    RunInterrupted { reason: Cow<'a, String> },
    RunPaused {
        reason: Cow<'a, String>,
        #[serde(default, skip_serializing_if = "is_none")]
        cause: Cow<'a, Option<PauseCause>>,
    },
    RunAlerted { alert: Cow<'a, Alert>, message: Cow<'a, String> },
    RunBudgetRaised { budget: Cow<'a, Budget> },
    SignalReceived { name: Cow<'a, String>, payload: Cow<'a, Value> },
    RunCancelRequested,
    RunCanceled,
    RunSucceeded,
    RunFailed { step: Cow<'a, StepId>, failure: Cow<'a, Failure> },
    RunResumed,
    RunPruned,

    StepReady { step: Cow<'a, StepId>, not_before: Cow<'a, Timestamp> },
    StepExpanded { step: Cow<'a, StepId>, items: Cow<'a, Vec<Value>> },
    StepReused { step: Cow<'a, StepId>, key: Cow<'a, StepKey>, with: Cow<'a, Value>, from: Cow<'a, RunId>, outputs: Cow<'a, Outputs> },
    StepWaiting { step: Cow<'a, StepId>, wait: Cow<'a, Wait> },
    StepDecided { step: Cow<'a, StepId>, ruling: Cow<'a, Ruling> },
    CheckpointAdopted { step: Cow<'a, StepId>, from: Cow<'a, RunId>, checkpoint: Cow<'a, Checkpoint> },
    StepSkipped { step: Cow<'a, StepId>, reason: Cow<'a, String> },
    StepCanceled { step: Cow<'a, StepId> },
    StepFailed { step: Cow<'a, StepId>, failure: Cow<'a, Failure> },

    StepSucceeded { step: Cow<'a, StepId>, fence: Cow<'a, Fence>, outputs: Cow<'a, Outputs> },
    AttemptStarted {
        step: Cow<'a, StepId>,
        attempt: Cow<'a, u32>,
        fence: Cow<'a, Fence>,
        key: Cow<'a, StepKey>,
        with: Cow<'a, Value>,
        lease_expires_at: Cow<'a, Timestamp>,
        #[serde(default, skip_serializing_if = "is_empty")]
        resources: Cow<'a, BTreeMap<String, Vec<String>>>,
    },
    AttemptSpawned { step: Cow<'a, StepId>, fence: Cow<'a, Fence>, process: Cow<'a, ProcessIdentity> },
    AttemptRewound { step: Cow<'a, StepId>, fence: Cow<'a, Fence>, last_step: Cow<'a, u64> },
    AttemptFailed { step: Cow<'a, StepId>, fence: Cow<'a, Fence>, failure: Cow<'a, Failure> },
    AttemptReleased {
        step: Cow<'a, StepId>,
        fence: Cow<'a, Fence>,
        reason: Cow<'a, String>,
        #[serde(default, skip_serializing_if = "is_none")]
        cause: Cow<'a, Option<ReleaseCause>>,
    },
    CheckpointCommitted { step: Cow<'a, StepId>, fence: Cow<'a, Fence>, checkpoint: Cow<'a, Checkpoint> },
    Note { step: Cow<'a, StepId>, fence: Cow<'a, Fence>, message: Cow<'a, String> },
}

fn is_none<T: Clone>(field: &Cow<'_, Option<T>>) -> bool {
    field.is_none()
}

fn is_default(options: &Cow<'_, RunOptions>) -> bool {
    options.is_default()
}

fn is_empty(resources: &Cow<'_, BTreeMap<String, Vec<String>>>) -> bool {
    resources.is_empty()
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
        impl From<Stored<'_>> for Event {
            fn from(stored: Stored<'_>) -> Event {
                match stored {
                    $(Stored::$run $({ $($run_field),* })? => {
                        Event::Run(RunEvent::$run_kind $({ $($run_field: $run_field.into_owned()),* })?)
                    })*
                    $(Stored::$step { step, $($step_field),* } => {
                        StepEventKind::$step_kind { $($step_field: $step_field.into_owned()),* }.of(step.into_owned())
                    })*
                    $(Stored::$fenced { step, fence, $($fenced_field),* } => {
                        StepEventKind::$fenced_kind { $($fenced_field: $fenced_field.into_owned()),* }
                            .under(step.into_owned(), fence.into_owned())
                    })*
                }
            }
        }

        impl<'a> TryFrom<&'a Event> for Stored<'a> {
            type Error = NoFence;

            fn try_from(event: &'a Event) -> Result<Stored<'a>, NoFence> {
                let StepEvent { step, fence, kind } = match event {
                    $(Event::Run(RunEvent::$run_kind $({ $($run_field),* })?) => {
                        return Ok(Stored::$run $({ $($run_field: Cow::Borrowed($run_field)),* })?);
                    })*
                    Event::Step(event) => event,
                };
                let step = Cow::Borrowed(step);
                Ok(match kind {
                    $(StepEventKind::$step_kind { $($step_field),* } => {
                        Stored::$step { step, $($step_field: Cow::Borrowed($step_field)),* }
                    })*
                    $(StepEventKind::$fenced_kind { $($fenced_field),* } => {
                        let fence = Cow::Borrowed(fence.as_ref().ok_or(NoFence)?);
                        Stored::$fenced { step, fence, $($fenced_field: Cow::Borrowed($fenced_field)),* }
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
