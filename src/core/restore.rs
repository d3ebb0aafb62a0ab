//! Takes up the state of a run from its tables, where an engine before has left it.

use jiff::Timestamp;
use serde_json::Value;

use super::decide::later;
use super::ids::{Fence, StepId, StepKey};
use super::retry::backoff;
use super::state::{RunState, Signal, StepIndex, StepState};

/// What a table row says about a step. `None` for a step that waits for its needs.
#[derive(Clone, PartialEq, Debug)]
pub struct Restored {
    pub state: Option<StepState>,
    pub fence: Fence,
    pub attempts: u32,
    pub failures: u32,
    pub key: Option<StepKey>,
    pub ready_since: Option<Timestamp>,
}

impl RunState {
    /// Takes up the children of a fan-out as the tables have them, by the index of their item. Those that
    /// have succeeded or were skipped may be missing: see [`children_in_store`].
    ///
    /// [`children_in_store`]: super::state::Step::children_in_store
    pub fn restore_children(&mut self, parent: &StepId, items: Vec<(usize, Value)>, total: usize) {
        let Some(parent) = self.find(parent) else { return };
        self.steps[parent].children_in_store = items.len() < total;
        if !items.is_empty() {
            self.add_some_children(parent, items);
        }
    }

    /// Takes up one step as the tables have it. Once all are in, call [`RunState::settle_restored`].
    pub fn restore(&mut self, id: &StepId, row: Restored) {
        let Some(i) = self.find(id) else { return };
        let step = &mut self.steps[i];
        (step.fence, step.attempts, step.failures, step.key) = (row.fence, row.attempts, row.failures, row.key);
        if let Some(since) = row.ready_since {
            self.count_from(i, since);
        }
        if let Some(state) = row.state {
            self.set(i, state);
        }
    }

    /// The clock of the engine that decided on a pause may have been ahead of `now`, by a year: no step
    /// waits longer than its retry policy says.
    pub fn cap_pauses(&mut self, now: Timestamp) {
        for i in 0..self.steps.len() {
            let step = &self.steps[i];
            let latest = later(now, backoff(&self.step_spec(step).retry, step.failures.max(1)));
            if matches!(step.state, StepState::Ready { not_before } if not_before > latest) {
                self.set(i, StepState::Ready { not_before: latest });
            }
        }
    }

    /// Losses of a step's attempts together with their engine, counted in its log.
    pub fn restore_losses(&mut self, id: &StepId, losses: u32) {
        if let Some(i) = self.find(id) {
            self.steps[i].losses = losses;
        }
    }

    /// Takes up the signals that nobody has taken, oldest first, after [`RunState::settle_restored`].
    pub fn restore_signals(&mut self, signals: impl IntoIterator<Item = Signal>) {
        signals.into_iter().for_each(|signal| self.add_signal(signal));
    }

    /// Counts again who waits for whom, and what is decided already.
    pub fn settle_restored(&mut self) {
        self.due.clear();
        for i in 0..self.steps.len() {
            let open = |state: &StepState| !matches!(state, StepState::Succeeded { .. });
            match self.steps[i].state {
                StepState::Pending { .. } => {
                    let needs: Vec<StepIndex> = match self.steps[i].parent {
                        Some(_) => Vec::new(),
                        None => {
                            self.spec.steps[self.steps[i].spec].needs.iter().filter_map(|id| self.find(id)).collect()
                        }
                    };
                    let unmet = needs.iter().filter(|&&need| open(&self.steps[need].state)).count();
                    let skipped = needs.into_iter().find(|&need| self.steps[need].state == StepState::Skipped);
                    self.steps[i].skipped_need = skipped;
                    self.set(i, StepState::Pending { unmet });
                    if unmet == 0 || skipped.is_some() {
                        self.due.insert(i);
                    }
                }
                StepState::Expanded { .. } => {
                    let children = &self.steps[self.steps[i].children.clone()];
                    let remaining = children.iter().filter(|child| !child.state.is_terminal()).count();
                    self.set(i, StepState::Expanded { remaining });
                    if remaining == 0 {
                        self.due.insert(i);
                    }
                }
                _ => {}
            }
        }
    }
}
