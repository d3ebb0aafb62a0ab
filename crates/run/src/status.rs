//! Statuses of runs and steps as projections of events: the store writes them, `db check` replays them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::Event;
use stepwell_base::ids::{Fence, StepId};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Pending,
    Running,
    Interrupted,
    /// Continues only after an explicit resume.
    Paused,
    Canceling,
    Succeeded,
    Failed,
    Canceled,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    Pending,
    Ready,
    Running,
    /// Waits for a person, a signal or a child run.
    Waiting,
    /// A `for_each` step whose children do the work.
    Expanded,
    Succeeded,
    Failed,
    Skipped,
    Canceled,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a status")]
pub struct UnknownStatus(String);

/// The effect of an event on a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transition<S> {
    Keep,
    To(S),
    /// The event cannot happen in this status.
    Illegal,
}

impl RunStatus {
    pub const ALL: [RunStatus; 8] = [
        RunStatus::Pending,
        RunStatus::Running,
        RunStatus::Interrupted,
        RunStatus::Paused,
        RunStatus::Canceling,
        RunStatus::Succeeded,
        RunStatus::Failed,
        RunStatus::Canceled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Pending => "pending",
            RunStatus::Running => "running",
            RunStatus::Interrupted => "interrupted",
            RunStatus::Paused => "paused",
            RunStatus::Canceling => "canceling",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Failed => "failed",
            RunStatus::Canceled => "canceled",
        }
    }

    pub fn is_terminal(self) -> bool {
        matches!(self, RunStatus::Succeeded | RunStatus::Failed | RunStatus::Canceled)
    }

    /// True until the run ends. An active run reserves its name.
    pub fn is_active(self) -> bool {
        !self.is_terminal()
    }

    /// Returns the status after `event` of this run. Only `RunResumed` revives a failed run; succeeded and
    /// canceled are final; a run that is being canceled stays so until it ends.
    pub fn after(self, event: &Event) -> Transition<RunStatus> {
        use Transition::{Illegal, Keep, To};
        let active = |next| if self.is_active() { To(next) } else { Illegal };
        match event {
            Event::RunSubmitted { .. } => Illegal,
            Event::RunStarted | Event::RunInterrupted { .. } | Event::RunPaused { .. } | Event::RunResumed
                if self == RunStatus::Canceling =>
            {
                Keep
            }
            Event::RunStarted | Event::RunInterrupted { .. } if self == RunStatus::Paused => Keep,
            Event::RunPaused { .. } => active(RunStatus::Paused),
            Event::RunAlerted { .. } | Event::RunBudgetRaised { .. } | Event::SignalReceived { .. } => {
                if self.is_active() { Keep } else { Illegal }
            }
            Event::RunStarted => active(RunStatus::Running),
            Event::RunInterrupted { .. } => active(RunStatus::Interrupted),
            Event::RunResumed if self == RunStatus::Failed => To(RunStatus::Running),
            Event::RunResumed => active(RunStatus::Running),
            Event::RunCancelRequested => active(RunStatus::Canceling),
            Event::RunCanceled => active(RunStatus::Canceled),
            Event::RunSucceeded => active(RunStatus::Succeeded),
            Event::RunFailed { .. } => active(RunStatus::Failed),
            Event::RunPruned if self.is_active() => Illegal,
            _ => Keep,
        }
    }
}

impl StepStatus {
    pub const ALL: [StepStatus; 9] = [
        StepStatus::Pending,
        StepStatus::Ready,
        StepStatus::Running,
        StepStatus::Waiting,
        StepStatus::Expanded,
        StepStatus::Succeeded,
        StepStatus::Failed,
        StepStatus::Skipped,
        StepStatus::Canceled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            StepStatus::Pending => "pending",
            StepStatus::Ready => "ready",
            StepStatus::Running => "running",
            StepStatus::Waiting => "waiting",
            StepStatus::Expanded => "expanded",
            StepStatus::Succeeded => "succeeded",
            StepStatus::Failed => "failed",
            StepStatus::Skipped => "skipped",
            StepStatus::Canceled => "canceled",
        }
    }

    pub fn is_terminal(self) -> bool {
        use StepStatus::{Canceled, Failed, Skipped, Succeeded};
        matches!(self, Succeeded | Failed | Skipped | Canceled)
    }

    /// Returns the status after `event` of this step, whose fence the caller has checked. Succeeded is final;
    /// the other end states can become ready again when the run is resumed.
    pub fn after(self, event: &Event) -> Transition<StepStatus> {
        use StepStatus::{Canceled, Expanded, Failed, Pending, Ready, Running, Skipped, Succeeded, Waiting};
        use Transition::{Illegal, Keep, To};
        match (event, self) {
            (Event::StepReady { .. }, Pending | Ready | Failed | Skipped | Canceled) => To(Ready),
            (Event::StepExpanded { .. }, Pending | Ready | Failed | Canceled) => To(Expanded),
            (Event::StepReused { .. }, Pending | Ready) => To(Succeeded),
            (Event::StepWaiting { .. }, Ready) => To(Waiting),
            (Event::StepDecided { .. }, Ready | Running | Waiting)
            | (Event::CheckpointAdopted { .. }, Pending | Ready) => Keep,
            (Event::StepSkipped { .. }, Pending | Ready | Waiting) => To(Skipped),
            (Event::StepCanceled { .. }, Pending | Ready | Running | Waiting | Expanded) => To(Canceled),
            (Event::StepCanceled { .. }, Canceled) => Keep,
            (Event::StepFailed { .. }, Pending | Ready | Running | Waiting | Expanded) => To(Failed),
            (Event::StepSucceeded { .. }, Ready | Running | Waiting | Expanded) => To(Succeeded),
            (Event::AttemptStarted { .. }, Ready) => To(Running),
            (Event::AttemptFailed { .. } | Event::AttemptReleased { .. }, Running) => To(Ready),
            (
                Event::AttemptSpawned { .. }
                | Event::AttemptRewound { .. }
                | Event::CheckpointCommitted { .. }
                | Event::Note { .. },
                Running,
            ) => Keep,
            _ => Illegal,
        }
    }
}

/// Returns the step that an event changes; `None` for events of the run.
pub fn step_of(event: &Event) -> Option<&StepId> {
    match event {
        Event::StepReady { step, .. }
        | Event::StepExpanded { step, .. }
        | Event::StepReused { step, .. }
        | Event::StepWaiting { step, .. }
        | Event::StepDecided { step, .. }
        | Event::CheckpointAdopted { step, .. }
        | Event::StepSkipped { step, .. }
        | Event::StepCanceled { step }
        | Event::StepFailed { step, .. }
        | Event::StepSucceeded { step, .. }
        | Event::AttemptStarted { step, .. }
        | Event::AttemptSpawned { step, .. }
        | Event::AttemptRewound { step, .. }
        | Event::AttemptFailed { step, .. }
        | Event::AttemptReleased { step, .. }
        | Event::CheckpointCommitted { step, .. }
        | Event::Note { step, .. } => Some(step),
        Event::RunSubmitted { .. }
        | Event::RunStarted
        | Event::RunInterrupted { .. }
        | Event::RunPaused { .. }
        | Event::RunAlerted { .. }
        | Event::RunBudgetRaised { .. }
        | Event::SignalReceived { .. }
        | Event::RunCancelRequested
        | Event::RunCanceled
        | Event::RunSucceeded
        | Event::RunFailed { .. }
        | Event::RunResumed
        | Event::RunPruned => None,
    }
}

pub fn fence_of(event: &Event) -> Option<Fence> {
    match event {
        Event::StepSucceeded { fence, .. }
        | Event::AttemptStarted { fence, .. }
        | Event::AttemptSpawned { fence, .. }
        | Event::AttemptRewound { fence, .. }
        | Event::AttemptFailed { fence, .. }
        | Event::AttemptReleased { fence, .. }
        | Event::CheckpointCommitted { fence, .. }
        | Event::Note { fence, .. } => Some(*fence),
        _ => None,
    }
}

/// True if an event may still change a step. A claim takes the next fence of a ready step; every other event
/// with a fence needs the current fence and a running step. Two kinds of step succeed without an attempt: an
/// expanded or waiting step, and a ready step that never had an attempt (a gate). Fence 0 marks the latter,
/// since an attempt's fence is never 0.
pub fn fence_holds(event: &Event, status: StepStatus, current: Fence) -> bool {
    match (event, fence_of(event)) {
        (_, None) => true,
        (Event::AttemptStarted { .. }, Some(fence)) => status == StepStatus::Ready && fence.0 == current.0 + 1,
        (Event::StepSucceeded { .. }, Some(fence)) if matches!(status, StepStatus::Expanded | StepStatus::Waiting) => {
            fence == current
        }
        (Event::StepSucceeded { .. }, Some(fence)) if status == StepStatus::Ready => fence == current && fence.0 == 0,
        (_, Some(fence)) => status == StepStatus::Running && fence == current,
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RunStatus::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

impl FromStr for StepStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        StepStatus::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_round_trip_through_text_and_json() {
        for status in RunStatus::ALL {
            assert_eq!(status.as_str().parse::<RunStatus>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for status in StepStatus::ALL {
            assert_eq!(status.as_str().parse::<StepStatus>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("done".parse::<RunStatus>().is_err());
    }

    #[test]
    fn a_succeeded_step_never_changes() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let step = StepId::from("a");
        for event in [
            Event::StepReady { step: step.clone(), not_before: at },
            Event::StepCanceled { step: step.clone() },
            Event::StepSkipped { step: step.clone(), reason: String::new() },
            Event::StepExpanded { step, items: vec![] },
        ] {
            assert_eq!(StepStatus::Succeeded.after(&event), Transition::Illegal);
        }
    }

    #[test]
    fn a_ready_step_succeeds_only_if_it_never_had_an_attempt() {
        let succeeded =
            |fence| Event::StepSucceeded { step: StepId::from("a"), fence: Fence(fence), outputs: Default::default() };
        assert!(fence_holds(&succeeded(0), StepStatus::Ready, Fence(0)));
        assert!(!fence_holds(&succeeded(0), StepStatus::Ready, Fence(1)));
        assert!(!fence_holds(&succeeded(1), StepStatus::Ready, Fence(1)), "a released attempt is ignored");
    }

    #[test]
    fn ended_runs_stay_ended_but_a_failed_one_resumes() {
        for status in [RunStatus::Succeeded, RunStatus::Canceled] {
            assert_eq!(status.after(&Event::RunResumed), Transition::Illegal);
            assert_eq!(status.after(&Event::RunStarted), Transition::Illegal);
        }
        assert_eq!(RunStatus::Failed.after(&Event::RunResumed), Transition::To(RunStatus::Running));
        assert_eq!(RunStatus::Failed.after(&Event::RunSucceeded), Transition::Illegal);
        assert_eq!(RunStatus::Canceling.after(&Event::RunResumed), Transition::Keep);
    }
}
