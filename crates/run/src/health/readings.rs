//! Numbers that the judgement needs. Each list is short: the newest values are enough.

use jiff::Timestamp;

use crate::estimate::ProgressMark;
use stepwell_base::ids::StepId;

/// Newest losses of a step that the rules look at.
pub const MOST_LOSSES: usize = 120;
/// Newest validations of a step that the rules look at.
pub const MOST_VALIDATIONS: usize = 50;
/// Newest checkpoints of a step that the rules look at.
pub const MOST_CHECKPOINTS: usize = 5;

/// What is known about a run that works.
#[derive(Clone, PartialEq, Debug)]
pub struct Readings {
    pub now: Timestamp,
    /// The running steps.
    pub steps: Vec<StepReadings>,
    pub machine: MachineReadings,
}

/// A running step. A step that reports nothing has nothing but its start.
#[derive(Clone, PartialEq, Debug)]
pub struct StepReadings {
    pub step: StepId,
    /// Start of the running attempt.
    pub started_at: Timestamp,
    pub progress: Option<ProgressMark>,
    /// Training steps and their losses, oldest first; what is no number is NaN.
    pub losses: Vec<(u64, f64)>,
    /// The same of the validation loss.
    pub validations: Vec<(u64, f64)>,
    /// Times of the newest checkpoints of any attempt, oldest first.
    pub checkpoints: Vec<Timestamp>,
    /// Size of the newest checkpoint.
    pub checkpoint_bytes: u64,
}

/// The machine that the run works on; `None` where a number is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MachineReadings {
    /// Free space on the disk of the state directory.
    pub disk_free_bytes: Option<u64>,
    pub memory: Option<MemoryReading>,
}

/// The memory of the machine, or of the smaller limit that the processes have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryReading {
    pub used_bytes: u64,
    pub total_bytes: u64,
}

impl StepReadings {
    /// A step that has reported nothing yet.
    pub fn new(step: StepId, started_at: Timestamp) -> StepReadings {
        StepReadings {
            step,
            started_at,
            progress: None,
            losses: Vec::new(),
            validations: Vec::new(),
            checkpoints: Vec::new(),
            checkpoint_bytes: 0,
        }
    }
}
