//! Rebuilds the state of a run from its tables, as an earlier engine left it.

use jiff::Timestamp;
use serde_json::Value;

use super::run_state::{RunState, Signal};
use super::step::{StepIndex, StepState};
use crate::retry::backoff;
use stepwell_base::duration::later;
use stepwell_base::ids::{Fence, StepId, StepKey};

/// A step as its table row describes it. `state` is `None` while the step waits for its needs.
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
    /// Adds the children of a fan-out that the tables have, by item index. Children that have succeeded or
    /// were skipped may be missing: see [`children_in_store`].
    ///
    /// [`children_in_store`]: super::Step::children_in_store
    pub fn restore_children(&mut self, parent: &StepId, items: Vec<(usize, Value)>, total: usize) {
        let Some(parent) = self.find(parent) else { return };
        self.steps[parent].children_in_store = items.len() < total;
        if !items.is_empty() {
            self.add_some_children(parent, items);
        }
    }

    /// Sets one step as the tables have it. After the last one, call [`RunState::settle_restored`].
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

    /// Caps every pause at the length that the retry policy allows from `now`: the clock of the engine that
    /// decided on the pause may have been ahead, even by a year.
    pub fn cap_pauses(&mut self, now: Timestamp) {
        for i in 0..self.steps.len() {
            let step = &self.steps[i];
            let latest = later(now, backoff(&self.step_spec(step).retry, step.failures.max(1)));
            if matches!(step.state, StepState::Ready { not_before } if not_before > latest) {
                self.set(i, StepState::Ready { not_before: latest });
            }
        }
    }

    /// Sets how often attempts of a step were lost together with their engine, as counted in the log.
    pub fn restore_losses(&mut self, id: &StepId, losses: u32) {
        if let Some(i) = self.find(id) {
            self.steps[i].losses = losses;
        }
    }

    /// Adds the signals that no step has taken, oldest first. Call it after [`RunState::settle_restored`].
    pub fn restore_signals(&mut self, signals: impl IntoIterator<Item = Signal>) {
        signals.into_iter().for_each(|signal| self.add_signal(signal));
    }

    /// Recounts unmet needs and unfinished children, and marks the steps that are due.
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
