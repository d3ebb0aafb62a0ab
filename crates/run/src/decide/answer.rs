//! The direct answer to each command.

use jiff::Timestamp;
use serde_json::Value;

use super::deadline::expire;
use super::resume::{resume, retry};
use super::wait;
use crate::command::{Command, Decision, Effect};
use crate::event::{Event, PauseCause, ReleaseCause, RunEvent, StepEventKind};
use crate::retry::{MAXIMUM_LOSSES_IN_A_ROW, Verdict, backoff, verdict};
use crate::state::{Lease, Lifecycle, RunState, Step, StepState};
use stepwell_base::duration::later;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::{Fence, StepId, StepKey};
use stepwell_workflow::pools::Held;

/// Returns the direct answer to one command; `consequence` adds what follows from its events.
pub fn decide(state: &RunState, command: Command, now: Timestamp) -> Decision {
    match command {
        Command::Claim { step, key, with, resources } => claim(state, step, key, with, resources, now),
        Command::Expand { step, items } => at_ready(state, step, now, StepEventKind::Expanded { items }),
        Command::Skip { step, reason } => at_ready(state, step, now, StepEventKind::Skipped { reason }),
        Command::Reject { step, failure } => at_ready(state, step, now, StepEventKind::Failed { failure }),
        Command::Reuse { step, key, with, from, outputs } => {
            at_ready(state, step, now, StepEventKind::Reused { key, with, from, outputs })
        }
        Command::Spawned { step, fence, process } => {
            report(state, step, fence, StepEventKind::AttemptSpawned { process })
        }
        Command::Heartbeat { step, fence } => held(state, &step, fence, |entry, _| {
            let until = lease_end(state, entry, now);
            Decision::effect(Effect::ExtendLease { step: step.clone(), fence, until })
        }),
        Command::Checkpoint { step, fence, checkpoint } => held(state, &step, fence, |_, _| {
            Decision::event(StepEventKind::CheckpointCommitted { checkpoint }.under(step.clone(), fence))
                .then(Effect::AcknowledgeCheckpoint { step: step.clone(), fence })
        }),
        Command::Rewind { step, fence, last_step } => {
            report(state, step, fence, StepEventKind::AttemptRewound { last_step })
        }
        Command::Note { step, fence, message } => report(state, step, fence, StepEventKind::Note { message }),
        Command::Complete { step, fence, outputs } => report(state, step, fence, StepEventKind::Succeeded { outputs }),
        Command::Fail { step, fence, failure } => {
            held(state, &step, fence, |entry, lease| Decision::events(fail(state, entry, lease, failure, now)))
        }
        Command::Release { step, fence, cause, reason } => {
            held(state, &step, fence, |entry, _| Decision::events(release(state, entry, fence, (cause, reason), now)))
        }
        Command::Killed { step, fence } => held(state, &step, fence, |entry, _| match state.lifecycle {
            Lifecycle::Canceling => Decision::event(StepEventKind::Canceled.of(entry.id.clone())),
            Lifecycle::Active | Lifecycle::Interrupted | Lifecycle::Paused => Decision::default(),
        }),
        Command::Wait { step, wait } => at_ready(state, step, now, StepEventKind::Waiting { wait }),
        Command::Rule { step, ruling, on_false } => {
            if !claimable(state, &step, now) {
                return Decision::default();
            }
            Decision::events(state.start_event().into_iter().chain(wait::ruled(step, ruling, on_false)))
        }
        Command::Decide { step, verdict, approver, comment } => {
            wait::decided(state, &step, (verdict, approver, comment), now)
        }
        Command::Signal { name, payload } => wait::signaled(state, name, payload),
        Command::ChildEnded { step, run, result } => wait::child_ended(state, &step, run, result, now),
        Command::Expire => expire(state, now),
        Command::Cancel => cancel(state),
        Command::Pause { cause, reason } => pause(state, cause, reason),
        Command::Alert { .. } | Command::RaiseBudget { .. } if state.end.is_some() => Decision::default(),
        Command::Alert { alert, .. } if state.alerts.contains(&alert) => Decision::default(),
        Command::Alert { alert, message } => Decision::event(RunEvent::Alerted { alert, message }),
        Command::RaiseBudget { to } => Decision::event(RunEvent::BudgetRaised { budget: state.budget.raised(&to) }),
        Command::Interrupt { reason } => interrupt(state, reason),
        Command::Resume => resume(state, now),
        Command::Retry { step } => retry(state, step.as_ref(), now),
    }
}

/// Answers a command of the lease holder; ignores all others.
fn held(state: &RunState, id: &StepId, fence: Fence, answer: impl FnOnce(&Step, &Lease) -> Decision) -> Decision {
    match state.step(id).and_then(|step| step.lease().map(|lease| (step, lease))) {
        Some((step, lease)) if lease.fence == fence && state.end.is_none() => answer(step, lease),
        _ => Decision::default(),
    }
}

fn claimable(state: &RunState, id: &StepId, now: Timestamp) -> bool {
    state.end.is_none()
        && state.lifecycle == Lifecycle::Active
        && state.step(id).is_some_and(|s| matches!(s.state, StepState::Ready { not_before } if not_before <= now))
}

/// Records what the lease holder reports.
fn report(state: &RunState, step: StepId, fence: Fence, kind: StepEventKind) -> Decision {
    held(state, &step, fence, |_, _| Decision::event(kind.under(step.clone(), fence)))
}

/// Records `kind` for a ready step in place of an attempt.
fn at_ready(state: &RunState, step: StepId, now: Timestamp, kind: StepEventKind) -> Decision {
    if !claimable(state, &step, now) {
        return Decision::default();
    }
    Decision::events(state.start_event().into_iter().chain([kind.of(step)]))
}

fn claim(state: &RunState, id: StepId, key: StepKey, with: Value, resources: Held, now: Timestamp) -> Decision {
    let Some(entry) = state.step(&id).filter(|_| claimable(state, &id, now)) else {
        return Decision::default();
    };
    let fence = Fence(entry.fence.0 + 1);
    let started = StepEventKind::AttemptStarted {
        attempt: entry.attempts + 1,
        key,
        with,
        lease_expires_at: lease_end(state, entry, now),
        resources,
    }
    .under(id.clone(), fence);
    Decision::events(state.start_event().into_iter().chain([started])).then(Effect::Start { step: id, fence })
}

fn lease_end(state: &RunState, step: &Step, now: Timestamp) -> Timestamp {
    later(now, state.step_spec(step).timeout.heartbeat)
}

fn fail(state: &RunState, step: &Step, lease: &Lease, failure: Failure, now: Timestamp) -> Vec<Event> {
    let (id, fence) = (step.id.clone(), lease.fence);
    if state.lifecycle == Lifecycle::Canceling {
        return vec![StepEventKind::Canceled.of(id)];
    }
    let policy = &state.step_spec(step).retry;
    if failure.kind == FailureKind::LeaseLost && lease.progressed && !policy.rules_out(&failure) {
        // The attempt made progress before it was lost, so the step itself is not to blame: it uses up no retry.
        let not_before = later(now, backoff(policy, 1));
        let reason = format!("lost after a new checkpoint: {}", failure.message);
        return vec![
            StepEventKind::AttemptReleased { reason, cause: Some(ReleaseCause::Stopped) }.under(id.clone(), fence),
            StepEventKind::Ready { not_before }.of(id),
        ];
    }
    let next = match verdict(policy, step.failures, &failure) {
        Verdict::RetryAfter(pause) => StepEventKind::Ready { not_before: later(now, pause) }.of(id.clone()),
        Verdict::GiveUp => StepEventKind::Failed { failure: failure.clone() }.of(id.clone()),
    };
    vec![StepEventKind::AttemptFailed { failure }.under(id, fence), next]
}

fn release(
    state: &RunState,
    step: &Step,
    fence: Fence,
    (cause, reason): (ReleaseCause, String),
    now: Timestamp,
) -> Vec<Event> {
    let id = step.id.clone();
    if state.lifecycle == Lifecycle::Canceling {
        return vec![StepEventKind::Canceled.of(id)];
    }
    let poison = cause == ReleaseCause::EngineDied && step.losses + 1 >= MAXIMUM_LOSSES_IN_A_ROW;
    let released = StepEventKind::AttemptReleased { reason, cause: Some(cause) }.under(id.clone(), fence);
    let next = if poison {
        let message =
            format!("the engine died {MAXIMUM_LOSSES_IN_A_ROW} times in a row during this step, without a checkpoint");
        let failure = Failure::new(FailureKind::LeaseLost, message)
            .with_hint("look for exhausted memory in the system log; `stepwell resume` tries the step again");
        StepEventKind::Failed { failure }.of(id)
    } else {
        StepEventKind::Ready { not_before: now }.of(id)
    };
    vec![released, next]
}

fn cancel(state: &RunState) -> Decision {
    if state.end.is_some() || state.lifecycle == Lifecycle::Canceling {
        return Decision::default();
    }
    let effects = state.leases().map(|(step, lease)| Effect::Cancel { step: step.id.clone(), fence: lease.fence });
    Decision { events: vec![Event::Run(RunEvent::CancelRequested)], effects: effects.collect() }
}

fn pause(state: &RunState, cause: PauseCause, reason: String) -> Decision {
    if state.end.is_some() || matches!(state.lifecycle, Lifecycle::Canceling | Lifecycle::Paused) {
        return Decision::default();
    }
    let effects = state.leases().map(|(step, lease)| Effect::Interrupt { step: step.id.clone(), fence: lease.fence });
    Decision { events: vec![Event::Run(RunEvent::Paused { reason, cause: Some(cause) })], effects: effects.collect() }
}

fn interrupt(state: &RunState, reason: String) -> Decision {
    if state.end.is_some() || state.lifecycle != Lifecycle::Active || !state.started {
        return Decision::default();
    }
    if state.leased.is_empty() {
        return Decision::event(RunEvent::Interrupted { reason });
    }
    let effects = state.leases().map(|(step, lease)| Effect::Interrupt { step: step.id.clone(), fence: lease.fence });
    Decision { events: Vec::new(), effects: effects.collect() }
}
