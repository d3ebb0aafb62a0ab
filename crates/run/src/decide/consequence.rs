//! Events that follow from the state alone, once the events of a command are applied.

use jiff::Timestamp;

use super::deadline::too_late;
use super::wait::signal_outputs;
use crate::event::{Event, RunEvent, StepEventKind, Wait};
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
            Some(&i) => Some(StepEventKind::Canceled.of(state.steps[i].id.clone())),
            None => Some(Event::Run(RunEvent::Canceled)),
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
        return Some(Event::Run(RunEvent::Failed { step: step.id.clone(), failure: failure.clone() }));
    }
    state.live.is_empty().then_some(Event::Run(RunEvent::Succeeded))
}

fn settle(state: &RunState, step: &Step, now: Timestamp) -> Option<Event> {
    let id = step.id.clone();
    match &step.state {
        StepState::Pending { .. } if step.skipped_need.is_some() => {
            let need = step.skipped_need.map(|i| state.steps[i].id.as_str()).unwrap_or_default();
            Some(StepEventKind::Skipped { reason: format!("it needs `{need}`, which was skipped") }.of(id))
        }
        StepState::Pending { unmet: 0 } => Some(StepEventKind::Ready { not_before: now }.of(id)),
        StepState::Expanded { remaining: 0 } => Some(match first_failed_child(state, step) {
            Some((child, failure)) => {
                let message = format!("`{}` failed: {}", child.id, failure.message);
                StepEventKind::Failed { failure: Failure { message, ..failure.clone() } }.of(id)
            }
            None => StepEventKind::Succeeded { outputs: Outputs::default() }.under(id, step.fence),
        }),
        StepState::Waiting(Wait::Signal { .. }) if state.is_too_late(step, now) => {
            Some(StepEventKind::Failed { failure: too_late(state, step) }.of(id))
        }
        StepState::Waiting(Wait::Signal { name }) => {
            let outputs = signal_outputs(state.signal(name)?);
            Some(StepEventKind::Succeeded { outputs }.under(id, step.fence))
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
