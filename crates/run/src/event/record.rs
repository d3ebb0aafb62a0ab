//! Everything that can happen to a run. Events are appended to a hash-chained log; the tables that
//! people query are a projection of it, written in the same transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::Deserializer;
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alert::Alert;
use super::cause::{PauseCause, ReleaseCause};
use super::stored::Stored;
use super::wait::{Ruling, Wait};
use crate::run_options::RunOptions;
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

#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    Run(RunEvent),
    Step(StepEvent),
}

/// An event of the run as a whole.
#[derive(Clone, PartialEq, Debug)]
pub enum RunEvent {
    /// First event of a run; its transaction inserts the run and step rows.
    Submitted {
        name: String,
        workflow: String,
        spec_digest: String,
        idempotency_key: Option<String>,
        options: RunOptions,
    },
    Started,
    /// The engine stopped before the run ended (Ctrl-C, SIGTERM, crash); `resume` continues the run.
    Interrupted {
        reason: String,
    },
    /// No engine claims a step until `Resumed`; running attempts write a checkpoint and stop.
    Paused {
        reason: String,
        /// `None` in events of builds without causes, see [`PauseCause::recorded`].
        cause: Option<PauseCause>,
    },
    /// A notice for a person, raised once: a deadline at risk, an exhausted budget.
    Alerted {
        alert: Alert,
        message: String,
    },
    /// A person raised the budget; `budget` replaces all earlier limits.
    BudgetRaised {
        budget: Budget,
    },
    /// Stored until a step waits for it.
    SignalReceived {
        name: String,
        payload: Value,
    },
    CancelRequested,
    Canceled,
    Succeeded,
    Failed {
        step: StepId,
        failure: Failure,
    },
    /// A failed, interrupted or paused run continues.
    Resumed,
    /// The retention policy deleted all data of an ended run except its row and its log.
    Pruned,
}

/// An event of one step.
#[derive(Clone, PartialEq, Debug)]
pub struct StepEvent {
    pub step: StepId,
    /// Fence of the attempt that the event is about. A step that succeeds without an attempt (a fan-out, a waiting
    /// step, a gate) carries its own fence, which is 0 before any attempt. `None` for all other events.
    pub fence: Option<Fence>,
    pub kind: StepEventKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum StepEventKind {
    /// The step can be claimed from `not_before` on: its needs have succeeded, or it is tried again.
    Ready {
        not_before: Timestamp,
    },
    /// A `for_each` step was expanded into one child per item. `items` is empty when a failed fan-out is resumed.
    Expanded {
        items: Vec<Value>,
    },
    /// A step with an equal key succeeded earlier; its outputs are used and nothing runs.
    Reused {
        key: StepKey,
        with: Value,
        from: RunId,
        outputs: Outputs,
    },
    /// The step waits for something outside the engine; it has no attempt and holds no slot.
    Waiting {
        wait: Wait,
    },
    /// A gate or an approval was decided; the result is a separate event.
    Decided {
        ruling: Ruling,
    },
    /// A fork resumes from this checkpoint of the run it was forked from.
    CheckpointAdopted {
        from: RunId,
        checkpoint: Checkpoint,
    },
    Skipped {
        reason: String,
    },
    Canceled,
    /// Final failure: no retry follows.
    Failed {
        failure: Failure,
    },
    // All kinds below have a fence.
    Succeeded {
        outputs: Outputs,
    },
    /// Leases the step and counts the attempt, before the attempt starts.
    AttemptStarted {
        attempt: u32,
        key: StepKey,
        /// `with` after its templates are resolved, plus the kind's fingerprint under `"$fingerprint"`.
        with: Value,
        lease_expires_at: Timestamp,
        /// Pool units that the lease holds, such as `{"gpu": ["gpu:0"]}`.
        resources: BTreeMap<String, Vec<String>>,
    },
    AttemptSpawned {
        process: ProcessIdentity,
    },
    /// The attempt discarded earlier work after training step `last_step` (0: all of it).
    AttemptRewound {
        last_step: u64,
    },
    AttemptFailed {
        failure: Failure,
    },
    /// Ended without blame, for example because the engine stopped or died; does not count against the retries.
    AttemptReleased {
        reason: String,
        /// `None` in events of builds without causes, see [`ReleaseCause::recorded`].
        cause: Option<ReleaseCause>,
    },
    CheckpointCommitted {
        checkpoint: Checkpoint,
    },
    /// A notice for people, such as a damaged checkpoint that was skipped.
    Note {
        message: String,
    },
}

impl StepEventKind {
    /// The event of a step without a fence.
    pub fn of(self, step: StepId) -> Event {
        Event::Step(StepEvent { step, fence: None, kind: self })
    }

    /// The event of a step under `fence`.
    pub fn under(self, step: StepId, fence: Fence) -> Event {
        Event::Step(StepEvent { step, fence: Some(fence), kind: self })
    }
}

impl Event {
    /// The step that the event changes; `None` for events of the run.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Event::Run(_) => None,
            Event::Step(event) => Some(&event.step),
        }
    }

    /// The kind of a step event; `None` for events of the run.
    pub fn step_kind(&self) -> Option<&StepEventKind> {
        match self {
            Event::Run(_) => None,
            Event::Step(event) => Some(&event.kind),
        }
    }
}

impl From<RunEvent> for Event {
    fn from(event: RunEvent) -> Event {
        Event::Run(event)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored::try_from(self).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
        Stored::deserialize(deserializer).map(Event::from)
    }
}
