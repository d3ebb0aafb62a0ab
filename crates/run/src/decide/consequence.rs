//! Events that follow from the state alone, once the events of a command are applied.

use jiff::Timestamp;

use super::deadline::too_late;
use super::wait::signal_outputs;
use crate::event::{Event, Wait};
use crate::state::{Lifecycle, RunState, Step, StepState};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;

/// Returns the next event that follows from the state alone, or `None` when the state is settled.
pub fn consequence(state: &RunState, now: Timestamp) -> Option<Event> {
    if state.end.is_some() {
        return None;
    }
    if state.lifecycle == Lifecycle::Canceling {
        return match state.live.first() {
            _ if !state.leased.is_empty() || state.awaits_runs() => None,
            Some(&i) => Some(Event::StepCanceled { step: state.steps[i].id.clone() }),
            None => Some(Event::RunCanceled),
        };
    }
    if let Some(event) = state.due.iter().find_map(|&i| settle(state, &state.steps[i], now)) {
        return Some(event);
    }
    if state.has_ready() || !state.leased.is_empty() || !state.waiting.is_empty() {
        return None;
    }
    if let Some(step) = state.failed.first().map(|&i| &state.steps[i])
        && let StepState::Failed(failure) = &step.state
    {
        return Some(Event::RunFailed { step: step.id.clone(), failure: failure.clone() });
    }
    state.live.is_empty().then_some(Event::RunSucceeded)
}

fn settle(state: &RunState, step: &Step, now: Timestamp) -> Option<Event> {
    let id = step.id.clone();
    match &step.state {
        StepState::Pending { .. } if step.skipped_need.is_some() => {
            let need = step.skipped_need.map(|i| state.steps[i].id.as_str()).unwrap_or_default();
            Some(Event::StepSkipped { step: id, reason: format!("it needs `{need}`, which was skipped") })
        }
        StepState::Pending { unmet: 0 } => Some(Event::StepReady { step: id, not_before: now }),
        StepState::Expanded { remaining: 0 } => Some(match first_failed_child(state, step) {
            Some((child, failure)) => {
                let message = format!("`{}` failed: {}", child.id, failure.message);
                Event::StepFailed { step: id, failure: Failure { message, ..failure.clone() } }
            }
            None => Event::StepSucceeded { step: id, fence: step.fence, outputs: Outputs::default() },
        }),
        StepState::Waiting(Wait::Signal { .. }) if state.is_too_late(step, now) => {
            Some(Event::StepFailed { step: id, failure: too_late(state, step) })
        }
        StepState::Waiting(Wait::Signal { name }) => {
            let outputs = signal_outputs(state.signal(name)?);
            Some(Event::StepSucceeded { step: id, fence: step.fence, outputs })
        }
        _ => None,
    }
}

fn first_failed_child<'a>(state: &'a RunState, parent: &Step) -> Option<(&'a Step, &'a Failure)> {
    state.children(parent).iter().find_map(|child| match &child.state {
        StepState::Failed(failure) => Some((child, failure)),
        _ => None,
    })
}
