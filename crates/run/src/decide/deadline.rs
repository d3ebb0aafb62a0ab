//! Attempts and steps that have run out of time.

use jiff::Timestamp;

use crate::command::{Decision, Effect};
use crate::event::{StepEventKind, Wait};
use crate::state::{Lease, Lifecycle, RunState, Step, StepState};
use stepwell_base::duration::later;
use stepwell_base::failure::{Failure, FailureKind};

pub(super) fn expire(state: &RunState, now: Timestamp) -> Decision {
    let effects = state.leases().filter_map(|(step, lease)| {
        let failure = overdue(state, step, lease, now)?;
        Some(Effect::Kill { step: step.id.clone(), fence: lease.fence, failure })
    });
    let mut effects: Vec<Effect> = effects.collect();
    if state.end.is_some() || state.lifecycle != Lifecycle::Active {
        return Decision { events: Vec::new(), effects };
    }
    let mut events = Vec::new();
    for step in state.deadlines.passed(now).map(|i| &state.steps[i]) {
        match &step.state {
            StepState::Waiting(Wait::Run { run }) => effects.push(Effect::CancelRun { run: *run }),
            _ => events.push(StepEventKind::Failed { failure: too_late(state, step) }.of(step.id.clone())),
        }
    }
    if !events.is_empty() {
        events.splice(0..0, state.start_event());
    }
    Decision { events, effects }
}

/// Returns the failure for which the attempt must be killed now, if any.
fn overdue(state: &RunState, step: &Step, lease: &Lease, now: Timestamp) -> Option<Failure> {
    let timeout = &state.step_spec(step).timeout;
    if state.is_too_late(step, now) {
        return Some(too_late(state, step));
    }
    if timeout.start_to_close.is_some_and(|limit| later(lease.started_at, limit) <= now) {
        let seconds = timeout.start_to_close.unwrap_or_default().as_secs_f64();
        let message = format!("the attempt ran for longer than its limit of {seconds} s");
        return Some(
            Failure::new(FailureKind::Timeout, message).with_hint("raise `timeout.start_to_close` of the step"),
        );
    }
    (lease.expires_at <= now).then(|| {
        let seconds = timeout.heartbeat.as_secs_f64();
        Failure::new(FailureKind::LeaseLost, format!("the worker sent no heartbeat for {seconds} s"))
            .with_hint("the process was stopped or the machine overloaded; `timeout.heartbeat` sets the limit")
    })
}

/// The failure of a step whose `timeout.schedule_to_close` has passed.
pub(super) fn too_late(state: &RunState, step: &Step) -> Failure {
    let seconds = state.step_spec(step).timeout.schedule_to_close.unwrap_or_default().as_secs_f64();
    let how = match &step.state {
        StepState::Waiting(wait) => format!("it was waiting for {}", wait.describe()),
        _ => format!("after {} attempts", step.attempts),
    };
    let message = format!("the step was not done within {seconds} s of being ready, {how}");
    Failure::new(FailureKind::ScheduleToClose, message)
        .with_hint("raise `timeout.schedule_to_close` of the step; `stepwell resume` gives it the same time again")
}
