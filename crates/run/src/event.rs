//! Everything that can happen to a run. Events are appended to a hash-chained log; the tables that
//! people query are a projection of it, written in the same transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run_options::RunOptions;
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_workflow::budget::Budget;

/// One event, its run and the time of the decision.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recorded {
    pub run: RunId,
    pub at: Timestamp,
    pub event: Event,
}

/// Identifies an operating system process, even after its PID is reused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/PID/stat` field 22), or the platform's equivalent.
    pub start_time: u64,
    pub boot_id: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// First event of a run; its transaction inserts the run and step rows.
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
    /// The engine stopped before the run ended (Ctrl-C, SIGTERM, crash); `resume` continues the run.
    RunInterrupted {
        reason: String,
    },
    /// No engine claims a step until `RunResumed`; running attempts write a checkpoint and stop.
    RunPaused {
        reason: String,
        /// `None` in events of builds without causes, see [`PauseCause::recorded`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<PauseCause>,
    },
    /// A notice for a person, raised once: a deadline at risk, an exhausted budget.
    RunAlerted {
        alert: Alert,
        message: String,
    },
    /// A person raised the budget; `budget` replaces all earlier limits.
    RunBudgetRaised {
        budget: Budget,
    },
    /// Stored until a step waits for it.
    SignalReceived {
        name: String,
        payload: Value,
    },
    RunCancelRequested,
    RunCanceled,
    RunSucceeded,
    RunFailed {
        step: StepId,
        failure: Failure,
    },
    /// A failed, interrupted or paused run continues.
    RunResumed,

    /// The retention policy deleted all data of an ended run except its row and its log.
    RunPruned,

    /// The step can be claimed from `not_before` on: its needs have succeeded, or it is tried again.
    StepReady {
        step: StepId,
        not_before: Timestamp,
    },
    /// A `for_each` step was expanded into one child per item. `items` is empty when a failed fan-out is resumed.
    StepExpanded {
        step: StepId,
        items: Vec<Value>,
    },
    /// A step with an equal key succeeded earlier; its outputs are used and nothing runs.
    StepReused {
        step: StepId,
        key: StepKey,
        with: Value,
        from: RunId,
        outputs: Outputs,
    },
    /// The step waits for something outside the engine; it has no attempt and holds no slot.
    StepWaiting {
        step: StepId,
        wait: Wait,
    },
    /// A gate or an approval was decided; the result is a separate event.
    StepDecided {
        step: StepId,
        ruling: Ruling,
    },
    /// A fork resumes from this checkpoint of the run it was forked from.
    CheckpointAdopted {
        step: StepId,
        from: RunId,
        checkpoint: Checkpoint,
    },
    StepSkipped {
        step: StepId,
        reason: String,
    },
    StepCanceled {
        step: StepId,
    },
    /// Final failure: no retry follows.
    StepFailed {
        step: StepId,
        failure: Failure,
    },
    /// `fence` is that of the attempt. Fan-outs, waiting steps and gates carry the step's own fence, which is
    /// 0 before any attempt.
    StepSucceeded {
        step: StepId,
        fence: Fence,
        outputs: Outputs,
    },

    /// Leases the step and counts the attempt, before the attempt starts.
    AttemptStarted {
        step: StepId,
        attempt: u32,
        fence: Fence,
        key: StepKey,
        /// `with` after its templates are resolved, plus the kind's fingerprint under `"$fingerprint"`.
        with: Value,
        lease_expires_at: Timestamp,
        /// Pool units that the lease holds, such as `{"gpu": ["gpu:0"]}`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        resources: BTreeMap<String, Vec<String>>,
    },
    AttemptSpawned {
        step: StepId,
        fence: Fence,
        process: ProcessIdentity,
    },
    /// The attempt discarded earlier work after training step `last_step` (0: all of it).
    AttemptRewound {
        step: StepId,
        fence: Fence,
        last_step: u64,
    },
    AttemptFailed {
        step: StepId,
        fence: Fence,
        failure: Failure,
    },
    /// Ended without blame, for example because the engine stopped or died; does not count against the retries.
    AttemptReleased {
        step: StepId,
        fence: Fence,
        reason: String,
        /// `None` in events of builds without causes, see [`ReleaseCause::recorded`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<ReleaseCause>,
    },
    CheckpointCommitted {
        step: StepId,
        fence: Fence,
        checkpoint: Checkpoint,
    },
    /// A notice for people, such as a damaged checkpoint that was skipped.
    Note {
        step: StepId,
        fence: Fence,
        message: String,
    },
}

/// Something outside the engine that a step waits for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// A person's answer: `stepwell approve RUN STEP`.
    Approval {
        prompt: String,
        /// Facts for the decision, shown with the prompt.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        inputs: Value,
    },
    /// Sent by `stepwell signal RUN NAME`.
    Signal { name: String },
    /// The end of a child run.
    Run { run: RunId },
}

impl Wait {
    /// Describes what the step waits for, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Wait::Approval { .. } => "a person".to_owned(),
            Wait::Signal { name } => format!("the signal `{name}`"),
            Wait::Run { run } => format!("the child run {run}"),
        }
    }
}

/// Decides what ends a pause; the reason text is for people only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// Lasts until a person resumes the run.
    Person,
    /// Lasts until a person resumes the run, like [`PauseCause::Person`].
    Budget,
    /// Lasts as long as the pause of the parent run.
    Parent,
}

/// Tells why an attempt was released; the reason text is for people only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseCause {
    /// Repeated occurrences fail the step, because the step itself may kill the engine.
    EngineDied,
    /// The engine or the run was stopped, the disk was full, or the attempt made progress before it was lost.
    Stopped,
}

impl PauseCause {
    /// The reason text that builds without causes wrote for [`PauseCause::Parent`].
    const PARENT_REASON: &str = "its parent run is paused";

    /// Returns the cause of an event; events of older builds have it in their reason text.
    pub fn recorded(cause: Option<PauseCause>, reason: &str) -> PauseCause {
        cause.unwrap_or(if reason == Self::PARENT_REASON { PauseCause::Parent } else { PauseCause::Person })
    }
}

impl ReleaseCause {
    /// The reason text that builds without causes wrote for [`ReleaseCause::EngineDied`].
    const ENGINE_DIED_REASON: &str = "the engine that ran this attempt died";

    /// Returns the cause of an event; events of older builds have it in their reason text.
    pub fn recorded(cause: Option<ReleaseCause>, reason: &str) -> ReleaseCause {
        cause.unwrap_or(if reason == Self::ENGINE_DIED_REASON {
            ReleaseCause::EngineDied
        } else {
            ReleaseCause::Stopped
        })
    }
}

/// A decision of a gate or a person, with the facts needed to review it later.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ruling {
    /// The expression of a gate, or the question that a person was asked.
    pub rule: String,
    pub inputs: Value,
    pub verdict: Verdict,
    /// The person who decided; `None` for a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approved,
    Rejected,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// The estimated end is later than the promised one.
    DeadlineAtRisk,
    DeadlineMissed,
    BudgetExhausted,
}

impl Alert {
    pub fn as_str(self) -> &'static str {
        match self {
            Alert::DeadlineAtRisk => "deadline_at_risk",
            Alert::DeadlineMissed => "deadline_missed",
            Alert::BudgetExhausted => "budget_exhausted",
        }
    }
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Approved => "approved",
            Verdict::Rejected => "rejected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Event {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn causes_of_events_of_older_builds_are_read_from_their_text() {
        let pause = |json: &str| match read(json) {
            Event::RunPaused { cause, reason } => PauseCause::recorded(cause, &reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(r#"{"type":"run_paused","reason":"its parent run is paused"}"#), PauseCause::Parent);
        assert_eq!(pause(r#"{"type":"run_paused","reason":"lunch"}"#), PauseCause::Person);
        let release = |json: &str| match read(json) {
            Event::AttemptReleased { cause, reason, .. } => ReleaseCause::recorded(cause, &reason),
            other => panic!("{other:?}"),
        };
        let died =
            r#"{"type":"attempt_released","step":"a","fence":1,"reason":"the engine that ran this attempt died"}"#;
        assert_eq!(release(died), ReleaseCause::EngineDied);
        assert_eq!(release(&died.replace("the engine that ran this attempt died", "SIGTERM")), ReleaseCause::Stopped);
    }

    #[test]
    fn the_words_of_a_person_decide_nothing() {
        let reason = PauseCause::PARENT_REASON.to_owned();
        let written = Event::RunPaused { reason, cause: Some(PauseCause::Person) };
        let Event::RunPaused { reason, cause } = read(&serde_json::to_string(&written).unwrap()) else { panic!() };
        assert_eq!(PauseCause::recorded(cause, &reason), PauseCause::Person);
    }
}
