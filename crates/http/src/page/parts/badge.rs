//! A state as people see it: a word, an icon and a colour.

use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::StepRow;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Badge {
    /// For the style sheet.
    pub class: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
    pub spins: bool,
}

impl Badge {
    fn new(class: &'static str, icon: &'static str, word: &'static str) -> Badge {
        Badge { class, icon, word, spins: icon == "running" }
    }

    pub fn of_run(status: RunStatus) -> Badge {
        let word = status.as_str();
        match status {
            RunStatus::Canceling => Badge::new("canceling", "running", word),
            _ => Badge::new(word, word, word),
        }
    }

    /// The state of a step of a run. A fan-out is at work while its items are, and an attempt stands still with its run.
    pub fn of_step(step: &StepRow, run: RunStatus) -> Badge {
        let at_work = match step.status {
            StepStatus::Running | StepStatus::Expanded => true,
            StepStatus::Ready => step.attempts > 0,
            _ => false,
        };
        match (run, step.status) {
            (RunStatus::Interrupted, _) if at_work => Badge::of_run(RunStatus::Interrupted),
            (RunStatus::Paused, StepStatus::Ready | StepStatus::Expanded) if at_work => {
                Badge::of_run(RunStatus::Paused)
            }
            (_, StepStatus::Succeeded) if step.reused_from.is_some() => Badge::new("succeeded", "succeeded", "reused"),
            (_, status) => Badge::of_status(status),
        }
    }

    /// The state of an attempt, in the word of its row.
    pub fn of_attempt(status: &str) -> Badge {
        match status {
            "running" => Badge::of_status(StepStatus::Running),
            "succeeded" => Badge::of_status(StepStatus::Succeeded),
            "failed" => Badge::of_status(StepStatus::Failed),
            "canceled" => Badge::of_status(StepStatus::Canceled),
            _ => Badge::new("paused", "paused", "stopped"),
        }
    }

    /// The state of a batch, in the words of OpenAI.
    pub fn of_batch(status: &'static str) -> Badge {
        match status {
            "validating" => Badge::new("pending", "pending", status),
            "in_progress" => Badge::new("running", "running", "in progress"),
            "completed" => Badge::new("succeeded", "succeeded", status),
            "failed" => Badge::new("failed", "failed", status),
            "expired" => Badge::new("interrupted", "interrupted", status),
            "cancelling" => Badge::new("canceling", "running", status),
            "cancelled" => Badge::new("canceled", "canceled", status),
            _ => Badge::new("running", "running", status),
        }
    }

    pub fn of_status(status: StepStatus) -> Badge {
        match status {
            StepStatus::Expanded => Badge::new("running", "running", "running"),
            StepStatus::Ready => Badge::new("pending", "pending", "ready"),
            other => Badge::new(other.as_str(), other.as_str(), other.as_str()),
        }
    }
}
