//! Resumes runs and retries failed steps.

use jiff::Timestamp;

use crate::command::Decision;
use crate::event::{Event, RunEvent, StepEventKind};
use crate::state::{Lifecycle, RunEnd, RunState, Step, StepIndex, StepState};
use stepwell_base::ids::StepId;

pub(super) fn resume(state: &RunState, now: Timestamp) -> Decision {
    match (&state.end, state.lifecycle) {
        (None, Lifecycle::Interrupted | Lifecycle::Paused) => Decision::event(RunEvent::Resumed),
        (Some(RunEnd::Failed { .. }), _) => {
            let retried = state.failed.iter().map(|&i| ready_again(&state.steps[i], now));
            Decision::events(std::iter::once(Event::Run(RunEvent::Resumed)).chain(retried))
        }
        _ => Decision::default(),
    }
}

pub(super) fn retry(state: &RunState, step: Option<&StepId>, now: Timestamp) -> Decision {
    let Ok(chosen) = to_retry(state, step) else { return Decision::default() };
    let stopped = state.end.is_some() || state.lifecycle == Lifecycle::Interrupted;
    let resumed = stopped.then_some(Event::Run(RunEvent::Resumed));
    let retried = chosen.into_iter().map(|i| ready_again(&state.steps[i], now));
    Decision::events(resumed.into_iter().chain(retried))
}

/// Returns the failed steps to retry, fan-outs before their children: all of them, or those that `step`
/// stands for. A fan-out also stands for its failed children, a child also for its fan-out.
///
/// # Errors
/// The reason why there is nothing to retry.
pub fn to_retry(state: &RunState, step: Option<&StepId>) -> Result<Vec<StepIndex>, String> {
    match (&state.end, state.lifecycle) {
        (Some(RunEnd::Succeeded), _) => return Err("the run has succeeded".to_owned()),
        (Some(RunEnd::Canceled), _) => return Err("the run was canceled".to_owned()),
        (None, Lifecycle::Canceling) => return Err("the run is being canceled".to_owned()),
        _ => {}
    }
    let Some(id) = step else {
        let all: Vec<StepIndex> = state.failed.iter().copied().collect();
        return if all.is_empty() { Err("none of its steps has failed".to_owned()) } else { Ok(all) };
    };
    let i = state.find(id).ok_or_else(|| format!("it has no step `{id}`"))?;
    let entry = &state.steps[i];
    let failed = |i: &StepIndex| matches!(state.steps[*i].state, StepState::Failed(_));
    let around = entry.parent.into_iter().chain([i]).chain(entry.children.clone());
    let chosen: Vec<StepIndex> = around.filter(failed).collect();
    let parent_only = entry.parent.is_some() && !failed(&i);
    if chosen.is_empty() || parent_only { Err(format!("step `{id}` has not failed")) } else { Ok(chosen) }
}

/// Makes a failed step ready again; a fan-out keeps its items and waits for its children again.
fn ready_again(step: &Step, now: Timestamp) -> Event {
    if step.children.is_empty() {
        return StepEventKind::Ready { not_before: now }.of(step.id.clone());
    }
    StepEventKind::Expanded { items: Vec::new() }.of(step.id.clone())
}
