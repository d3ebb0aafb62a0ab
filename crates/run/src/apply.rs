//! Applies each event to the state in memory. Total: an event that does not fit (unknown step, old fence)
//! changes nothing, so a replay never gets ahead of the log.

use jiff::Timestamp;

use super::event::{Alert, Event, ReleaseCause};
use super::state::{Lease, Lifecycle, RunEnd, RunState, Signal, StepIndex, StepState};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, StepId};

pub fn apply(state: &mut RunState, at: Timestamp, event: &Event) {
    state.clock = at;
    match event {
        Event::RunSubmitted { .. } | Event::RunPruned => {}
        Event::RunStarted => state.started = true,
        Event::RunInterrupted { .. } if state.lifecycle == Lifecycle::Paused => {}
        Event::RunInterrupted { .. } => state.lifecycle = Lifecycle::Interrupted,
        Event::RunPaused { .. } => state.lifecycle = Lifecycle::Paused,
        Event::RunCancelRequested => state.lifecycle = Lifecycle::Canceling,
        Event::RunResumed => {
            state.lifecycle = Lifecycle::Active;
            state.end = None;
        }
        Event::RunSucceeded => state.end = Some(RunEnd::Succeeded),
        Event::RunCanceled => state.end = Some(RunEnd::Canceled),
        Event::RunFailed { step, failure } => {
            state.end = Some(RunEnd::Failed { step: step.clone(), failure: failure.clone() });
        }
        Event::StepReady { step, not_before } => with_step(state, step, |state, i| ready(state, i, at, *not_before)),
        Event::StepExpanded { step, items } => with_step(state, step, |state, i| {
            if state.steps[i].children.is_empty() {
                state.add_children(i, items);
            }
            expanded(state, i);
        }),
        Event::StepReused { step, key, outputs, .. } => with_step(state, step, |state, i| {
            state.steps[i].key = Some(key.clone());
            state.set(i, StepState::Succeeded { outputs: outputs.clone() });
            ended(state, i);
        }),
        Event::StepWaiting { step, wait } => {
            with_step(state, step, |state, i| state.start_waiting(i, wait.clone()));
        }
        Event::CheckpointAdopted { step, checkpoint, .. } => {
            if let Some(i) = state.find(step) {
                state.steps[i].last_checkpoint = Some(Box::new(checkpoint.clone()));
            }
        }
        Event::StepSkipped { step, .. } => with_step(state, step, |state, i| {
            state.set(i, StepState::Skipped);
            ended(state, i);
        }),
        Event::StepCanceled { step } => with_step(state, step, |state, i| state.set(i, StepState::Canceled)),
        Event::StepFailed { step, failure } => with_step(state, step, |state, i| fail(state, i, failure)),
        Event::StepSucceeded { step, fence, outputs } => with_step(state, step, |state, i| {
            if state.steps[i].fence == *fence && !state.steps[i].state.is_terminal() {
                state.take_signal(i);
                state.set(i, StepState::Succeeded { outputs: outputs.clone() });
                ended(state, i);
            }
        }),
        Event::AttemptStarted { step, attempt, fence, key, lease_expires_at, resources, .. } => {
            with_step(state, step, |state, i| {
                let entry = &mut state.steps[i];
                entry.fence = *fence;
                entry.attempts = *attempt;
                entry.key = Some(key.clone());
                let lease = Lease {
                    fence: *fence,
                    attempt: *attempt,
                    started_at: at,
                    expires_at: *lease_expires_at,
                    process: None,
                    progressed: false,
                    resources: resources.clone(),
                };
                state.set(i, StepState::Leased(lease));
            })
        }
        Event::AttemptSpawned { step, fence, process } => {
            with_lease(state, step, *fence, |state, i| {
                if let StepState::Leased(lease) = &mut state.steps[i].state {
                    lease.process = Some(process.clone());
                }
            });
        }
        Event::AttemptFailed { step, fence, .. } => with_lease(state, step, *fence, |state, i| {
            state.steps[i].failures += 1;
            state.set(i, StepState::Ready { not_before: at });
        }),
        Event::AttemptReleased { step, fence, reason, cause } => with_lease(state, step, *fence, |state, i| {
            if ReleaseCause::recorded(*cause, reason) == ReleaseCause::EngineDied {
                state.steps[i].losses += 1;
            }
            state.set(i, StepState::Ready { not_before: at });
        }),
        Event::CheckpointCommitted { step, fence, checkpoint } => with_lease(state, step, *fence, |state, i| {
            let entry = &mut state.steps[i];
            let differs = entry.last_checkpoint.as_deref() != Some(checkpoint);
            if let StepState::Leased(lease) = &mut entry.state {
                lease.progressed |= differs;
            }
            if differs {
                entry.losses = 0;
            }
            entry.last_checkpoint = Some(Box::new(checkpoint.clone()));
        }),
        Event::RunAlerted { alert, .. } => state.alerts.push(*alert),
        // Exhausting the new budget must raise an alert again.
        Event::RunBudgetRaised { budget } => {
            state.budget = *budget;
            state.alerts.retain(|alert| *alert != Alert::BudgetExhausted);
        }
        Event::AttemptRewound { .. } | Event::Note { .. } | Event::StepDecided { .. } => {}
        Event::SignalReceived { name, payload } => {
            state.add_signal(Signal { name: name.clone(), payload: payload.clone() });
        }
    }
}

fn with_step(state: &mut RunState, id: &StepId, change: impl FnOnce(&mut RunState, StepIndex)) {
    if let Some(i) = state.find(id) {
        state.due.remove(&i);
        change(state, i);
    }
}

/// Runs `change` only if `fence` is that of the current lease.
fn with_lease(state: &mut RunState, id: &StepId, fence: Fence, change: impl FnOnce(&mut RunState, StepIndex)) {
    if let Some(i) = state.find(id)
        && state.steps[i].lease().is_some_and(|lease| lease.fence == fence)
    {
        change(state, i);
    }
}

fn ready(state: &mut RunState, i: StepIndex, at: Timestamp, not_before: Timestamp) {
    if !matches!(state.steps[i].state, StepState::Ready { .. }) {
        state.count_from(i, at);
    }
    if matches!(state.steps[i].state, StepState::Failed(_)) {
        state.steps[i].failures = 0;
        state.steps[i].losses = 0;
        if let Some(parent) = state.steps[i].parent
            && let StepState::Expanded { remaining } = &mut state.steps[parent].state
        {
            *remaining += 1;
        }
    }
    state.set(i, StepState::Ready { not_before });
}

/// A fan-out waits for the children that have not ended. When it is resumed, [`ready`] adds each failed child
/// that is retried.
fn expanded(state: &mut RunState, i: StepIndex) {
    let range = state.steps[i].children.clone();
    let remaining = range.filter(|c| !state.steps[*c].state.is_terminal()).count();
    state.set(i, StepState::Expanded { remaining });
    if remaining == 0 {
        state.due.insert(i);
    }
}

fn fail(state: &mut RunState, i: StepIndex, failure: &Failure) {
    let left = state.awaited_signal(i).map(str::to_owned);
    state.set(i, StepState::Failed(failure.clone()));
    if let Some(name) = left {
        // The signal came too late for this step; the next one that waits for it gets it.
        state.wake_for(&name);
    }
    ended(state, i);
}

/// Updates the fan-out or the dependents of a step that has just ended.
fn ended(state: &mut RunState, i: StepIndex) {
    if let Some(parent) = state.steps[i].parent {
        if let StepState::Expanded { remaining } = &mut state.steps[parent].state {
            *remaining = remaining.saturating_sub(1);
            if *remaining == 0 {
                state.due.insert(parent);
            }
        }
        return;
    }
    let skipped = match state.steps[i].state {
        StepState::Succeeded { .. } => false,
        StepState::Skipped => true,
        _ => return,
    };
    for dependent in state.dependents(i) {
        let entry = &mut state.steps[dependent];
        let StepState::Pending { unmet } = &mut entry.state else { continue };
        if skipped {
            entry.skipped_need.get_or_insert(i);
            state.due.insert(dependent);
        } else {
            *unmet = unmet.saturating_sub(1);
            if *unmet == 0 {
                state.due.insert(dependent);
            }
        }
    }
}
