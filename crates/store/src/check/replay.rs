//! Computes the expected content of the tables from the event log alone.

use std::collections::BTreeMap;

use stepwell_base::artifact::Outputs;
use stepwell_base::ids::{Fence, StepId};
use stepwell_run::event::{Event, RunEvent, StepEvent, StepEventKind, Verdict, Wait};
use stepwell_run::status::{RunStatus, StepStatus, Transition};
use stepwell_workflow::spec::WorkflowSpec;

#[derive(Clone, PartialEq, Debug)]
pub(super) struct RunReplay {
    pub(super) name: String,
    pub(super) workflow: String,
    pub(super) spec_digest: String,
    pub(super) status: RunStatus,
    pub(super) steps: BTreeMap<StepId, StepReplay>,
    /// Event number and verdict of each decision.
    pub(super) decisions: Vec<(i64, Verdict)>,
    pub(super) signals: Vec<SignalReplay>,
}

/// The fields of a signal that `db check` compares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SignalReplay {
    pub(super) seq: i64,
    pub(super) name: String,
    pub(super) taken_by: Option<StepId>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct StepReplay {
    pub(super) status: StepStatus,
    pub(super) fence: Fence,
    pub(super) attempts: u32,
    pub(super) retries_used: u32,
    pub(super) outputs: Option<Outputs>,
    /// Checkpoints neither rewound nor dropped, oldest first.
    pub(super) checkpoints: Vec<CheckpointReplay>,
    wait: Option<Wait>,
}

/// The fields of a checkpoint that `db check` compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CheckpointReplay {
    pub(super) seq: i64,
    pub(super) last_step: Option<u64>,
    pub(super) permanent: bool,
    pub(super) best: bool,
}

impl StepReplay {
    fn new() -> StepReplay {
        StepReplay {
            status: StepStatus::Pending,
            fence: Fence(0),
            attempts: 0,
            retries_used: 0,
            outputs: None,
            checkpoints: Vec::new(),
            wait: None,
        }
    }

    fn apply(&mut self, seq: i64, event: &StepEvent) {
        match &event.kind {
            StepEventKind::Ready { .. } if !matches!(self.status, StepStatus::Pending | StepStatus::Ready) => {
                self.retries_used = 0;
            }
            StepEventKind::AttemptStarted { attempt, .. } => {
                self.attempts = *attempt;
                self.fence = event.fence.unwrap_or(self.fence);
            }
            StepEventKind::AttemptFailed { .. } => self.retries_used += 1,
            StepEventKind::Waiting { wait } => self.wait = Some(wait.clone()),
            StepEventKind::Succeeded { outputs } | StepEventKind::Reused { outputs, .. } => {
                self.outputs = Some(outputs.clone());
            }
            StepEventKind::CheckpointCommitted { checkpoint } | StepEventKind::CheckpointAdopted { checkpoint, .. } => {
                self.checkpoints.push(CheckpointReplay {
                    seq,
                    last_step: checkpoint.last_step,
                    permanent: checkpoint.permanent,
                    best: checkpoint.best,
                });
                if let Some(keep) = checkpoint.keep {
                    self.drop_checkpoints(keep as usize);
                }
            }
            StepEventKind::AttemptRewound { last_step } => {
                self.checkpoints.retain(|checkpoint| checkpoint.last_step.is_none_or(|at| at <= *last_step));
            }
            _ => {}
        }
    }
}

impl StepReplay {
    fn drop_checkpoints(&mut self, keep: usize) {
        let passing = self.checkpoints.iter().filter(|checkpoint| !checkpoint.permanent).count();
        let mut surplus = passing.saturating_sub(keep);
        let best = self.checkpoints.iter().rev().find(|checkpoint| checkpoint.best).map(|checkpoint| checkpoint.seq);
        self.checkpoints.retain(|checkpoint| {
            let dropped = !checkpoint.permanent && surplus > 0;
            surplus -= usize::from(dropped);
            !dropped || best == Some(checkpoint.seq)
        });
    }
}

impl RunReplay {
    /// The state right after `RunSubmitted`; `None` if the first event is a different one.
    pub(super) fn submitted(event: &Event, spec: &WorkflowSpec) -> Option<RunReplay> {
        let Event::Run(RunEvent::Submitted { name, workflow, spec_digest, .. }) = event else { return None };
        Some(RunReplay {
            name: name.clone(),
            workflow: workflow.clone(),
            spec_digest: spec_digest.clone(),
            status: RunStatus::Pending,
            steps: spec.steps.iter().map(|step| (step.id.clone(), StepReplay::new())).collect(),
            decisions: Vec::new(),
            signals: Vec::new(),
        })
    }

    /// Applies a later event of the run; the error says why it is impossible.
    pub(super) fn apply(&mut self, seq: i64, event: &Event) -> Result<(), String> {
        match event {
            Event::Run(event) => self.apply_to_run(seq, event),
            Event::Step(event) => self.apply_to_step(seq, event),
        }
    }

    fn apply_to_run(&mut self, seq: i64, event: &RunEvent) -> Result<(), String> {
        if let RunEvent::SignalReceived { name, .. } = event {
            self.signals.push(SignalReplay { seq, name: name.clone(), taken_by: None });
        }
        match self.status.after(event) {
            Transition::Keep if *event == RunEvent::Pruned => {
                self.steps.clear();
                self.decisions.clear();
                self.signals.clear();
            }
            Transition::Keep => {}
            Transition::To(next) => self.status = next,
            Transition::Illegal => return Err(format!("it cannot follow while the run is {}", self.status)),
        }
        Ok(())
    }

    fn apply_to_step(&mut self, seq: i64, event: &StepEvent) -> Result<(), String> {
        let StepEvent { step: id, kind, .. } = event;
        let step = self.steps.get_mut(id).ok_or_else(|| format!("there is no step `{id}`"))?;
        let next = match step.status.after(kind) {
            Transition::Keep => step.status,
            Transition::To(next) => next,
            Transition::Illegal => return Err(format!("it cannot follow while step `{id}` is {}", step.status)),
        };
        match (kind, step.status, &step.wait) {
            (StepEventKind::Decided { ruling }, ..) => self.decisions.push((seq, ruling.verdict)),
            (StepEventKind::Succeeded { .. }, StepStatus::Waiting, Some(Wait::Signal { name })) => {
                let oldest = self.signals.iter_mut().find(|s| s.name == *name && s.taken_by.is_none());
                oldest.ok_or_else(|| format!("step `{id}` has a signal that never came"))?.taken_by = Some(id.clone());
            }
            _ => {}
        }
        step.apply(seq, event);
        step.status = next;
        if let StepEventKind::Expanded { items } = kind {
            for index in 0..items.len() {
                self.steps.entry(id.child(index)).or_insert_with(StepReplay::new);
            }
        }
        Ok(())
    }
}
