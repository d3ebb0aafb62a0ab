//! Statuses of runs and steps as projections of events: the store writes them, `db check` replays them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::{RunEvent, StepEvent, StepEventKind};
use stepwell_base::ids::Fence;

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

    /// Returns the status after `event` of this run. Only `Resumed` revives a failed run; succeeded and
    /// canceled are final; a run that is being canceled stays so until it ends.
    pub fn after(self, event: &RunEvent) -> Transition<RunStatus> {
        use Transition::{Illegal, Keep, To};
        let active = |next| if self.is_active() { To(next) } else { Illegal };
        match event {
            RunEvent::Submitted { .. } => Illegal,
            RunEvent::Started | RunEvent::Interrupted { .. } | RunEvent::Paused { .. } | RunEvent::Resumed
                if self == RunStatus::Canceling =>
            {
                Keep
            }
            RunEvent::Started | RunEvent::Interrupted { .. } if self == RunStatus::Paused => Keep,
            RunEvent::Paused { .. } => active(RunStatus::Paused),
            RunEvent::Alerted { .. } | RunEvent::BudgetRaised { .. } | RunEvent::SignalReceived { .. } => {
                if self.is_active() { Keep } else { Illegal }
            }
            RunEvent::Started => active(RunStatus::Running),
            RunEvent::Interrupted { .. } => active(RunStatus::Interrupted),
            RunEvent::Resumed if self == RunStatus::Failed => To(RunStatus::Running),
            RunEvent::Resumed => active(RunStatus::Running),
            RunEvent::CancelRequested => active(RunStatus::Canceling),
            RunEvent::Canceled => active(RunStatus::Canceled),
            RunEvent::Succeeded => active(RunStatus::Succeeded),
            RunEvent::Failed { .. } => active(RunStatus::Failed),
            RunEvent::Pruned => {
                if self.is_active() {
                    Illegal
                } else {
                    Keep
                }
            }
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
    pub fn after(self, event: &StepEventKind) -> Transition<StepStatus> {
        use StepStatus::{Canceled, Expanded, Failed, Pending, Ready, Running, Skipped, Succeeded, Waiting};
        use Transition::{Illegal, Keep, To};
        match (event, self) {
            (StepEventKind::Ready { .. }, Pending | Ready | Failed | Skipped | Canceled) => To(Ready),
            (StepEventKind::Expanded { .. }, Pending | Ready | Failed | Canceled) => To(Expanded),
            (StepEventKind::Reused { .. }, Pending | Ready) => To(Succeeded),
            (StepEventKind::Waiting { .. }, Ready) => To(Waiting),
            (StepEventKind::Decided { .. }, Ready | Running | Waiting)
            | (StepEventKind::CheckpointAdopted { .. }, Pending | Ready) => Keep,
            (StepEventKind::Skipped { .. }, Pending | Ready | Waiting) => To(Skipped),
            (StepEventKind::Canceled, Pending | Ready | Running | Waiting | Expanded) => To(Canceled),
            (StepEventKind::Canceled, Canceled) => Keep,
            (StepEventKind::Failed { .. }, Pending | Ready | Running | Waiting | Expanded) => To(Failed),
            (StepEventKind::Succeeded { .. }, Ready | Running | Waiting | Expanded) => To(Succeeded),
            (StepEventKind::AttemptStarted { .. }, Ready) => To(Running),
            (StepEventKind::AttemptFailed { .. } | StepEventKind::AttemptReleased { .. }, Running) => To(Ready),
            (
                StepEventKind::AttemptSpawned { .. }
                | StepEventKind::AttemptRewound { .. }
                | StepEventKind::CheckpointCommitted { .. }
                | StepEventKind::Note { .. },
                Running,
            ) => Keep,
            _ => Illegal,
        }
    }
}

/// True if an event may still change a step. A claim takes the next fence of a ready step; every other event
/// with a fence needs the current fence and a running step. Two kinds of step succeed without an attempt: an
/// expanded or waiting step, and a ready step that never had an attempt (a gate). Fence 0 marks the latter,
/// since an attempt's fence is never 0.
pub fn fence_holds(event: &StepEvent, status: StepStatus, current: Fence) -> bool {
    let Some(fence) = event.fence else { return true };
    match (&event.kind, status) {
        (StepEventKind::AttemptStarted { .. }, _) => status == StepStatus::Ready && fence.0 == current.0 + 1,
        (StepEventKind::Succeeded { .. }, StepStatus::Expanded | StepStatus::Waiting) => fence == current,
        (StepEventKind::Succeeded { .. }, StepStatus::Ready) => fence == current && fence.0 == 0,
        _ => status == StepStatus::Running && fence == current,
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
        for event in [
            StepEventKind::Ready { not_before: at },
            StepEventKind::Canceled,
            StepEventKind::Skipped { reason: String::new() },
            StepEventKind::Expanded { items: vec![] },
        ] {
            assert_eq!(StepStatus::Succeeded.after(&event), Transition::Illegal);
        }
    }

    #[test]
    fn a_ready_step_succeeds_only_if_it_never_had_an_attempt() {
        let succeeded = |fence| {
            let kind = StepEventKind::Succeeded { outputs: Default::default() };
            StepEvent { step: "a".into(), fence: Some(Fence(fence)), kind }
        };
        assert!(fence_holds(&succeeded(0), StepStatus::Ready, Fence(0)));
        assert!(!fence_holds(&succeeded(0), StepStatus::Ready, Fence(1)));
        assert!(!fence_holds(&succeeded(1), StepStatus::Ready, Fence(1)), "a released attempt is ignored");
    }

    #[test]
    fn ended_runs_stay_ended_but_a_failed_one_resumes() {
        for status in [RunStatus::Succeeded, RunStatus::Canceled] {
            assert_eq!(status.after(&RunEvent::Resumed), Transition::Illegal);
            assert_eq!(status.after(&RunEvent::Started), Transition::Illegal);
        }
        assert_eq!(RunStatus::Failed.after(&RunEvent::Resumed), Transition::To(RunStatus::Running));
        assert_eq!(RunStatus::Failed.after(&RunEvent::Succeeded), Transition::Illegal);
        assert_eq!(RunStatus::Canceling.after(&RunEvent::Resumed), Transition::Keep);
    }
}
