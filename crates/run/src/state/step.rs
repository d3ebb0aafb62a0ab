//! One step of a run in memory, and the states it can be in.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::event::{ProcessIdentity, Wait};
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, StepId, StepKey};
use stepwell_workflow::pools::Held;
use stepwell_workflow::template::{Child, FanOut};

/// Position of a step in [`RunState`](super::RunState): spec steps in definition order, then children in order of creation.
pub type StepIndex = usize;

/// The right to work on a step until `expires_at`.
#[derive(Clone, PartialEq, Debug)]
pub struct Lease {
    pub fence: Fence,
    pub attempt: u32,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
    pub process: Option<ProcessIdentity>,
    /// A checkpoint that differs from the previous one was committed under this lease.
    pub progressed: bool,
    /// Pool units, returned with the lease.
    pub resources: Held,
}

#[derive(Clone, PartialEq, Debug)]
pub enum StepState {
    Pending {
        unmet: usize,
    },
    Ready {
        not_before: Timestamp,
    },
    Leased(Lease),
    /// Waits for something outside the engine: holds no lease and no slot.
    Waiting(Wait),
    /// A fan-out whose children do the work; `remaining` of them have not ended.
    Expanded {
        remaining: usize,
    },
    Succeeded {
        outputs: Outputs,
    },
    Failed(Failure),
    Skipped,
    Canceled,
}

impl StepState {
    pub fn is_terminal(&self) -> bool {
        matches!(self, StepState::Succeeded { .. } | StepState::Failed(_) | StepState::Skipped | StepState::Canceled)
    }
}

/// One step, or one child of a fan-out.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    pub id: StepId,
    /// Index of the definition in the workflow; children share their parent's.
    pub spec: usize,
    pub parent: Option<StepIndex>,
    /// For a child: position and value of its item.
    pub item: Option<(usize, Value)>,
    pub children: Range<StepIndex>,
    /// Some children that had ended well when this state was loaded are only in the tables.
    pub children_in_store: bool,
    pub state: StepState,
    /// Fence of the newest claim; 0 before the first.
    pub fence: Fence,
    /// Attempts started, including released ones.
    pub attempts: u32,
    /// Failed attempts that count against the retry policy.
    pub failures: u32,
    /// Attempts lost with their engine since the last checkpoint.
    pub losses: u32,
    /// Time at which the step became ready, for the first time or again after it had ended; start of
    /// `timeout.schedule_to_close`.
    pub ready_since: Option<Timestamp>,
    /// Key of the newest claim.
    pub key: Option<StepKey>,
    pub last_checkpoint: Option<Box<Checkpoint>>,
    /// A need that was skipped, so that this step is skipped too.
    pub(crate) skipped_need: Option<StepIndex>,
}

/// The children of a fan-out, for templates.
#[derive(Debug)]
pub struct ChildSteps<'a>(pub &'a [Step]);

impl FanOut for ChildSteps<'_> {
    fn children(&self) -> Vec<Child<'_>> {
        let outputs = self.0.iter().filter_map(|step| step.item.as_ref().zip(step.outputs()));
        outputs.map(|((index, item), outputs)| Child { index: *index, item, outputs }).collect()
    }
}

impl Lease {
    /// Working time of the attempt so far, at most until the lease expires.
    pub fn worked(&self, now: Timestamp) -> SignedDuration {
        now.min(self.expires_at).duration_since(self.started_at).max(SignedDuration::ZERO)
    }
}

impl Step {
    pub(super) fn new(id: StepId, spec: usize, state: StepState) -> Step {
        Step {
            id,
            spec,
            parent: None,
            item: None,
            children: 0..0,
            children_in_store: false,
            state,
            fence: Fence(0),
            attempts: 0,
            failures: 0,
            losses: 0,
            ready_since: None,
            key: None,
            last_checkpoint: None,
            skipped_need: None,
        }
    }

    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            StepState::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    /// The lease, if it has this fence.
    pub(crate) fn lease_under(&mut self, fence: Option<Fence>) -> Option<&mut Lease> {
        match &mut self.state {
            StepState::Leased(lease) if Some(lease.fence) == fence => Some(lease),
            _ => None,
        }
    }

    pub fn outputs(&self) -> Option<&Outputs> {
        match &self.state {
            StepState::Succeeded { outputs } => Some(outputs),
            _ => None,
        }
    }
}
