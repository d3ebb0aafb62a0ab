//! Applies each event to the state in memory. Total: an event that does not fit (unknown step, old fence)
//! changes nothing, so a replay never gets ahead of the log.

use jiff::Timestamp;

use super::event::{Alert, Event, ReleaseCause, RunEvent, StepEvent, StepEventKind};
use super::state::{Lease, Lifecycle, RunEnd, RunState, Signal, StepIndex, StepState};
use stepwell_base::failure::Failure;
use stepwell_base::ids::Fence;

pub fn apply(state: &mut RunState, at: Timestamp, event: &Event) {
    state.clock = at;
    match event {
        Event::Run(event) => apply_to_run(state, event),
        Event::Step(StepEvent { step, fence, kind }) => {
            if let Some(i) = state.find(step) {
                apply_to_step(state, i, at, *fence, kind);
            }
        }
    }
}

fn apply_to_run(state: &mut RunState, event: &RunEvent) {
    match event {
        RunEvent::Submitted { .. } | RunEvent::Pruned => {}
        RunEvent::Started => state.started = true,
        RunEvent::Interrupted { .. } if state.lifecycle == Lifecycle::Paused => {}
        RunEvent::Interrupted { .. } => state.lifecycle = Lifecycle::Interrupted,
        RunEvent::Paused { .. } => state.lifecycle = Lifecycle::Paused,
        RunEvent::CancelRequested => state.lifecycle = Lifecycle::Canceling,
        RunEvent::Resumed => {
            state.lifecycle = Lifecycle::Active;
            state.end = None;
        }
        RunEvent::Succeeded => state.end = Some(RunEnd::Succeeded),
        RunEvent::Canceled => state.end = Some(RunEnd::Canceled),
        RunEvent::Failed { step, failure } => {
            state.end = Some(RunEnd::Failed { step: step.clone(), failure: failure.clone() });
        }
        RunEvent::Alerted { alert, .. } => state.alerts.push(*alert),
        // Exhausting the new budget must raise an alert again.
        RunEvent::BudgetRaised { budget } => {
            state.budget = *budget;
            state.alerts.retain(|alert| *alert != Alert::BudgetExhausted);
        }
        RunEvent::SignalReceived { name, payload } => {
            state.add_signal(Signal { name: name.clone(), payload: payload.clone() });
        }
    }
}

fn apply_to_step(state: &mut RunState, i: StepIndex, at: Timestamp, fence: Option<Fence>, kind: &StepEventKind) {
    match kind {
        StepEventKind::Ready { not_before } => ready(state, i, at, *not_before),
        StepEventKind::Expanded { items } => {
            if state.steps[i].children.is_empty() {
                state.add_children(i, items);
            }
            expanded(state, i);
        }
        StepEventKind::Reused { key, outputs, .. } => {
            state.steps[i].key = Some(key.clone());
            state.set(i, StepState::Succeeded { outputs: outputs.clone() });
            ended(state, i);
        }
        StepEventKind::Waiting { wait } => state.start_waiting(i, wait.clone()),
        StepEventKind::CheckpointAdopted { checkpoint, .. } => {
            state.steps[i].last_checkpoint = Some(Box::new(checkpoint.clone()));
        }
        StepEventKind::Skipped { .. } => {
            state.set(i, StepState::Skipped);
            ended(state, i);
        }
        StepEventKind::Canceled => state.set(i, StepState::Canceled),
        StepEventKind::Failed { failure } => fail(state, i, failure),
        StepEventKind::Succeeded { outputs } => {
            if Some(state.steps[i].fence) == fence && !state.steps[i].state.is_terminal() {
                state.take_signal(i);
                state.set(i, StepState::Succeeded { outputs: outputs.clone() });
                ended(state, i);
            }
        }
        StepEventKind::AttemptStarted { attempt, key, lease_expires_at, resources, .. } => {
            let Some(fence) = fence else { return };
            let entry = &mut state.steps[i];
            entry.fence = fence;
            entry.attempts = *attempt;
            entry.key = Some(key.clone());
            let lease = Lease {
                fence,
                attempt: *attempt,
                started_at: at,
                expires_at: *lease_expires_at,
                process: None,
                progressed: false,
                resources: resources.clone(),
            };
            state.set(i, StepState::Leased(lease));
        }
        StepEventKind::AttemptSpawned { process } => {
            if let Some(lease) = state.steps[i].lease_under(fence) {
                lease.process = Some(process.clone());
            }
        }
        StepEventKind::AttemptFailed { .. } => {
            if state.steps[i].lease_under(fence).is_some() {
                state.steps[i].failures += 1;
                state.set(i, StepState::Ready { not_before: at });
            }
        }
        StepEventKind::AttemptReleased { reason, cause } => {
            if state.steps[i].lease_under(fence).is_some() {
                if ReleaseCause::recorded(*cause, reason) == ReleaseCause::EngineDied {
                    state.steps[i].losses += 1;
                }
                state.set(i, StepState::Ready { not_before: at });
            }
        }
        StepEventKind::CheckpointCommitted { checkpoint } => {
            let entry = &mut state.steps[i];
            let differs = entry.last_checkpoint.as_deref() != Some(checkpoint);
            if let Some(lease) = entry.lease_under(fence) {
                lease.progressed |= differs;
                if differs {
                    entry.losses = 0;
                }
                entry.last_checkpoint = Some(Box::new(checkpoint.clone()));
            }
        }
        StepEventKind::AttemptRewound { .. } | StepEventKind::Note { .. } | StepEventKind::Decided { .. } => {}
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
