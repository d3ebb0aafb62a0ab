//! Options of a run beside its workflow: pinned with the run, and part of its first event.

use serde::{Deserialize, Serialize};

use super::project::Project;
use stepwell_base::ids::{RunId, StepId};

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RunOptions {
    /// Among all ready steps, those of the runs with the highest priority are claimed first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    #[serde(default, skip_serializing_if = "Reuse::is_default")]
    pub reuse: Reuse,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// `None` for workflows without a file, and in runs of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
}

/// Decides which steps may take the outputs of an equal earlier step.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    #[default]
    Allowed,
    /// Run every step.
    Never,
    /// Run these steps, whatever was done before.
    Except(Vec<StepId>),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Origin {
    /// `stepwell rerun RUN --from-step STEP`.
    Rerun { run: RunId, from_step: StepId },
    /// `stepwell fork RUN --at STEP[:TRAIN_STEP]`.
    Fork { run: RunId, at: StepId, train_step: Option<u64> },
    /// A step of kind `workflow`.
    Child { run: RunId, step: StepId },
    /// A schedule, at the time it was due.
    Schedule { name: String, due: jiff::Timestamp },
}

impl RunOptions {
    pub fn is_default(&self) -> bool {
        *self == RunOptions::default()
    }
}

impl Origin {
    /// The run whose outputs this one reuses for equal steps of any kind.
    pub fn source(&self) -> Option<RunId> {
        match self {
            Origin::Rerun { run, .. } | Origin::Fork { run, .. } => Some(*run),
            Origin::Child { .. } | Origin::Schedule { .. } => None,
        }
    }

    /// The training step from which a fork resumes `step`.
    pub fn forked_at(&self, step: &StepId) -> Option<u64> {
        match self {
            Origin::Fork { at, train_step, .. } if at == step => *train_step,
            _ => None,
        }
    }
}

impl Reuse {
    fn is_default(&self) -> bool {
        *self == Reuse::default()
    }

    /// True if `step` may take the outputs of an equal earlier step.
    pub fn allows(&self, step: &StepId) -> bool {
        match self {
            Reuse::Allowed => true,
            Reuse::Never => false,
            Reuse::Except(steps) => !steps.contains(step),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}
