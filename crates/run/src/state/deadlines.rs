//! Deadlines of ready and waiting steps, kept in order so that no scan of all steps is needed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::step::{StepIndex, StepState};
use crate::event::Wait;

type InOrder = BTreeSet<(Timestamp, StepIndex)>;

#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Deadlines {
    steps: InOrder,
    /// Deadlines of steps that wait for a child run; the child run must end before the step does.
    child_runs: InOrder,
}

impl Deadlines {
    pub(crate) fn add(&mut self, i: StepIndex, state: &StepState, deadline: Option<Timestamp>) {
        if let (Some(at), Some(kept)) = (deadline, self.kept_for(state)) {
            kept.insert((at, i));
        }
    }

    pub(crate) fn remove(&mut self, i: StepIndex, state: &StepState, deadline: Option<Timestamp>) {
        if let (Some(at), Some(kept)) = (deadline, self.kept_for(state)) {
            kept.remove(&(at, i));
        }
    }

    /// Steps past their deadline; those that wait for a child run come last.
    pub(crate) fn passed(&self, now: Timestamp) -> impl Iterator<Item = StepIndex> {
        let passed = move |kept: &InOrder| kept.range(..=(now, StepIndex::MAX)).map(|&(_, i)| i).collect::<Vec<_>>();
        passed(&self.steps).into_iter().chain(passed(&self.child_runs))
    }

    /// The earliest deadline of a step that does not wait for a child run.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.steps.first().map(|&(at, _)| at)
    }

    pub(crate) fn of_child_runs(&self) -> impl Iterator<Item = (Timestamp, StepIndex)> {
        self.child_runs.iter().copied()
    }

    fn kept_for(&mut self, state: &StepState) -> Option<&mut InOrder> {
        match state {
            StepState::Waiting(Wait::Run { .. }) => Some(&mut self.child_runs),
            StepState::Ready { .. } | StepState::Waiting(_) => Some(&mut self.steps),
            _ => None,
        }
    }
}
