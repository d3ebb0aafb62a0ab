//! The problems that a run can have while it works, and their text.

use std::fmt;
use std::time::Duration;

use super::readings::MemoryReading;
use stepwell_base::amount;
use stepwell_base::ids::StepId;
use stepwell_workflow::budget::hours;

/// A problem, and the step that has it; `None` for a problem of the machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub step: Option<StepId>,
    pub problem: Problem,
}

/// How soon a person has to act. The larger is the worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Look at it when there is time.
    Warning,
    /// The work of the run is being lost or wasted now.
    Critical,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Problem {
    /// The newest loss is no number since a training step.
    NotANumber {
        since: u64,
    },
    /// Some losses were no number; later ones are.
    WasNotANumber {
        count: usize,
        last: u64,
    },
    /// The step has reported nothing for longer than it usually needs.
    Stalled {
        silent: Duration,
    },
    /// The loss is far above the ones before; `has_recovered` once it is usual again.
    LossSpike {
        train_step: u64,
        loss: f64,
        usual: f64,
        has_recovered: bool,
    },
    /// The best validation is some validations ago, and the newest one is worse.
    ValidationRising {
        best: f64,
        best_step: u64,
        newest: f64,
    },
    /// A crash now costs the work of this time.
    NoCheckpoint {
        age: Duration,
    },
    LowDisk {
        free_bytes: u64,
        checkpoint_bytes: u64,
    },
    HighMemory(MemoryReading),
}

impl Problem {
    /// The name in JSON and in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Problem::NotANumber { .. } | Problem::WasNotANumber { .. } => "not_a_number",
            Problem::Stalled { .. } => "stalled",
            Problem::LossSpike { .. } => "loss_spike",
            Problem::ValidationRising { .. } => "validation_rising",
            Problem::NoCheckpoint { .. } => "no_checkpoint",
            Problem::LowDisk { .. } => "low_disk",
            Problem::HighMemory(_) => "high_memory",
        }
    }

    pub fn severity(&self) -> Severity {
        match self {
            Problem::NotANumber { .. } | Problem::Stalled { .. } | Problem::LossSpike { has_recovered: false, .. } => {
                Severity::Critical
            }
            // The next checkpoint may not fit.
            Problem::LowDisk { free_bytes, checkpoint_bytes } if *free_bytes / 2 < *checkpoint_bytes => {
                Severity::Critical
            }
            Problem::HighMemory(memory) if memory.total_bytes - memory.used_bytes < memory.total_bytes / 40 => {
                Severity::Critical
            }
            _ => Severity::Warning,
        }
    }
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// One clause without a full stop, such as `no checkpoint for 45.0 min`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotANumber { since } => write!(f, "the loss is no number since training step {since}"),
            Problem::WasNotANumber { count: 1, last } => write!(f, "the loss of training step {last} was no number"),
            Problem::WasNotANumber { count, last } => {
                write!(f, "{count} of the newest losses were no number, the last one at training step {last}")
            }
            Problem::Stalled { silent } => write!(f, "no progress for {}", hours(silent.as_secs_f64())),
            Problem::LossSpike { train_step, loss, usual, has_recovered } => {
                let now = if *has_recovered { ", and is back" } else { "" };
                write!(f, "the loss jumped to {loss:.4} at training step {train_step}, from about {usual:.4}{now}")
            }
            Problem::ValidationRising { best, best_step, newest } => {
                write!(f, "the validation loss rises: {newest:.4} now, {best:.4} at training step {best_step}")
            }
            Problem::NoCheckpoint { age } => write!(f, "no checkpoint for {}", hours(age.as_secs_f64())),
            Problem::LowDisk { free_bytes, checkpoint_bytes: 0 } => {
                write!(f, "only {} are free on the disk", amount::about(*free_bytes))
            }
            Problem::LowDisk { free_bytes, checkpoint_bytes } => {
                let (free, one) = (amount::about(*free_bytes), amount::about(*checkpoint_bytes));
                write!(f, "only {free} are free on the disk, and a checkpoint has {one}")
            }
            Problem::HighMemory(MemoryReading { used_bytes, total_bytes }) => {
                write!(f, "{} of {} of memory are used", amount::about(*used_bytes), amount::about(*total_bytes))
            }
        }
    }
}
