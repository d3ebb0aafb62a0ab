//! Every decision about a run, as pure functions: state and command in, events and effects out. The caller
//! commits the events before it performs the effects.

use jiff::Timestamp;
use serde_json::Value;

use super::apply::apply;
use super::event::{self, Alert, Event, PauseCause, ProcessIdentity, ReleaseCause, Ruling, Wait};
use super::retry::{MAXIMUM_LOSSES_IN_A_ROW, Verdict, backoff, verdict};
use super::state::{Lease, Lifecycle, RunState, Step, StepState};
use super::take_up::{resume, retry};
use super::wait::{self, OnFalse};
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::duration::later;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_workflow::budget::Budget;
use stepwell_workflow::pools::Held;

/// A report or a request. Commands about an attempt carry its fence; a stale fence decides nothing.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Lease a ready step for its next attempt.
    Claim {
        step: StepId,
        key: StepKey,
        with: Value,
        resources: Held,
    },
    Spawned {
        step: StepId,
        fence: Fence,
        process: ProcessIdentity,
    },
    Heartbeat {
        step: StepId,
        fence: Fence,
    },
    Complete {
        step: StepId,
        fence: Fence,
        outputs: Outputs,
    },
    Fail {
        step: StepId,
        fence: Fence,
        failure: Failure,
    },
    /// The attempt ended without blame.
    Release {
        step: StepId,
        fence: Fence,
        cause: ReleaseCause,
        reason: String,
    },
    Checkpoint {
        step: StepId,
        fence: Fence,
        checkpoint: Checkpoint,
    },
    Rewind {
        step: StepId,
        fence: Fence,
        last_step: u64,
    },
    Note {
        step: StepId,
        fence: Fence,
        message: String,
    },
    /// The attempt was ended for `Cancel` and is proven dead.
    Killed {
        step: StepId,
        fence: Fence,
    },
    /// The items of a ready `for_each` step are known.
    Expand {
        step: StepId,
        items: Vec<Value>,
    },
    /// The `when` condition of a ready step is false.
    Skip {
        step: StepId,
        reason: String,
    },
    /// Finished work has the same key as this ready step.
    Reuse {
        step: StepId,
        key: StepKey,
        with: Value,
        from: RunId,
        outputs: Outputs,
    },
    /// A ready step cannot be attempted: a template or an input is invalid.
    Reject {
        step: StepId,
        failure: Failure,
    },
    Wait {
        step: StepId,
        wait: Wait,
    },
    /// The rule of a ready gate was evaluated.
    Rule {
        step: StepId,
        ruling: Ruling,
        on_false: OnFalse,
    },
    Decide {
        step: StepId,
        verdict: event::Verdict,
        approver: String,
        comment: Option<String>,
    },
    Signal {
        name: String,
        payload: Value,
    },
    ChildEnded {
        step: StepId,
        run: RunId,
        result: Result<Outputs, Failure>,
    },
    /// Check for expired leases and timeouts.
    Expire,
    Cancel,
    /// Claim nothing until `Resume`; attempts write a checkpoint and stop.
    Pause {
        cause: PauseCause,
        reason: String,
    },
    /// Notify people, once per kind of alert.
    Alert {
        alert: Alert,
        message: String,
    },
    /// Raise the budget: limits set in `to` replace the current ones.
    RaiseBudget {
        to: Budget,
    },
    /// Stop the run without ending it; repeat until `RunInterrupted` appears.
    Interrupt {
        reason: String,
    },
    /// Continue an interrupted or paused run, or retry the failed steps of a failed one.
    Resume,
    /// Give this failed step, or all of them, new retries, even while the rest of the run continues.
    Retry {
        step: Option<StepId>,
    },
}

/// Work for the engine once the events are committed.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    Start {
        step: StepId,
        fence: Fence,
    },
    ExtendLease {
        step: StepId,
        fence: Fence,
        until: Timestamp,
    },
    AcknowledgeCheckpoint {
        step: StepId,
        fence: Fence,
    },
    Interrupt {
        step: StepId,
        fence: Fence,
    },
    /// End the attempt at once, prove it dead, then report `Fail` with this failure.
    Kill {
        step: StepId,
        fence: Fence,
        failure: Failure,
    },
    /// End the attempt politely, prove it dead, then report `Killed`.
    Cancel {
        step: StepId,
        fence: Fence,
    },
    /// Cancel the child run of a step that is past its deadline; the step fails once the child run has ended.
    CancelRun {
        run: RunId,
    },
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decision {
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
}

impl Decision {
    pub(super) fn event(event: Event) -> Decision {
        Decision { events: vec![event], effects: Vec::new() }
    }

    pub(super) fn events(events: impl IntoIterator<Item = Event>) -> Decision {
        Decision { events: events.into_iter().collect(), effects: Vec::new() }
    }

    fn effect(effect: Effect) -> Decision {
        Decision { events: Vec::new(), effects: vec![effect] }
    }

    fn then(mut self, effect: Effect) -> Decision {
        self.effects.push(effect);
        self
    }
}

impl RunState {
    /// Decides, applies the events, then applies their consequences until the state is settled. Afterwards
    /// the state matches the log that the caller commits.
    pub fn handle(&mut self, command: Command, now: Timestamp) -> Decision {
        let mut decision = decide(self, command, now);
        for event in &decision.events {
            apply(self, now, event);
        }
        for effect in &decision.effects {
            if let Effect::ExtendLease { step, fence, until } = effect {
                self.extend_lease(step, *fence, *until);
            }
        }
        while let Some(event) = consequence(self, now) {
            apply(self, now, &event);
            decision.events.push(event);
        }
        decision
    }
}

/// Returns the direct answer to one command; [`consequence`] adds what follows from its events.
pub fn decide(state: &RunState, command: Command, now: Timestamp) -> Decision {
    match command {
        Command::Claim { step, key, with, resources } => claim(state, step, key, with, resources, now),
        Command::Expand { step, items } => at_ready(state, &step, now, |step| Event::StepExpanded { step, items }),
        Command::Skip { step, reason } => at_ready(state, &step, now, |step| Event::StepSkipped { step, reason }),
        Command::Reject { step, failure } => at_ready(state, &step, now, |step| Event::StepFailed { step, failure }),
        Command::Reuse { step, key, with, from, outputs } => {
            at_ready(state, &step, now, |step| Event::StepReused { step, key, with, from, outputs })
        }
        Command::Spawned { step, fence, process } => held(state, &step, fence, |_, _| {
            Decision::event(Event::AttemptSpawned { step: step.clone(), fence, process })
        }),
        Command::Heartbeat { step, fence } => held(state, &step, fence, |entry, _| {
            let until = lease_end(state, entry, now);
            Decision::effect(Effect::ExtendLease { step: step.clone(), fence, until })
        }),
        Command::Checkpoint { step, fence, checkpoint } => held(state, &step, fence, |_, _| {
            Decision::event(Event::CheckpointCommitted { step: step.clone(), fence, checkpoint })
                .then(Effect::AcknowledgeCheckpoint { step: step.clone(), fence })
        }),
        Command::Rewind { step, fence, last_step } => held(state, &step, fence, |_, _| {
            Decision::event(Event::AttemptRewound { step: step.clone(), fence, last_step })
        }),
        Command::Note { step, fence, message } => {
            held(state, &step, fence, |_, _| Decision::event(Event::Note { step: step.clone(), fence, message }))
        }
        Command::Complete { step, fence, outputs } => held(state, &step, fence, |_, _| {
            Decision::event(Event::StepSucceeded { step: step.clone(), fence, outputs })
        }),
        Command::Fail { step, fence, failure } => {
            held(state, &step, fence, |entry, lease| Decision::events(fail(state, entry, lease, failure, now)))
        }
        Command::Release { step, fence, cause, reason } => {
            held(state, &step, fence, |entry, _| Decision::events(release(state, entry, fence, (cause, reason), now)))
        }
        Command::Killed { step, fence } => held(state, &step, fence, |entry, _| match state.lifecycle {
            Lifecycle::Canceling => Decision::event(Event::StepCanceled { step: entry.id.clone() }),
            Lifecycle::Active | Lifecycle::Interrupted | Lifecycle::Paused => Decision::default(),
        }),
        Command::Wait { step, wait } => at_ready(state, &step, now, |step| Event::StepWaiting { step, wait }),
        Command::Rule { step, ruling, on_false } => {
            if !claimable(state, &step, now) {
                return Decision::default();
            }
            Decision::events(starting(state).into_iter().chain(wait::ruled(step, ruling, on_false)))
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
        Command::Alert { alert, message } => Decision::event(Event::RunAlerted { alert, message }),
        Command::RaiseBudget { to } => Decision::event(Event::RunBudgetRaised { budget: state.budget.raised(&to) }),
        Command::Interrupt { reason } => interrupt(state, reason),
        Command::Resume => resume(state, now),
        Command::Retry { step } => retry(state, step.as_ref(), now),
    }
}

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
            let outputs = wait::signal_outputs(state.signal(name)?);
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

fn starting(state: &RunState) -> Vec<Event> {
    if state.started { Vec::new() } else { vec![Event::RunStarted] }
}

/// Records `event` for a ready step in place of an attempt.
fn at_ready(state: &RunState, id: &StepId, now: Timestamp, event: impl FnOnce(StepId) -> Event) -> Decision {
    if !claimable(state, id, now) {
        return Decision::default();
    }
    let mut events = starting(state);
    events.push(event(id.clone()));
    Decision::events(events)
}

fn claim(state: &RunState, id: StepId, key: StepKey, with: Value, resources: Held, now: Timestamp) -> Decision {
    let Some(entry) = state.step(&id).filter(|_| claimable(state, &id, now)) else {
        return Decision::default();
    };
    let fence = Fence(entry.fence.0 + 1);
    let mut events = starting(state);
    events.push(Event::AttemptStarted {
        step: id.clone(),
        attempt: entry.attempts + 1,
        fence,
        key,
        with,
        lease_expires_at: lease_end(state, entry, now),
        resources,
    });
    Decision::events(events).then(Effect::Start { step: id, fence })
}

fn lease_end(state: &RunState, step: &Step, now: Timestamp) -> Timestamp {
    later(now, state.step_spec(step).timeout.heartbeat)
}

fn fail(state: &RunState, step: &Step, lease: &Lease, failure: Failure, now: Timestamp) -> Vec<Event> {
    let (id, fence) = (step.id.clone(), lease.fence);
    if state.lifecycle == Lifecycle::Canceling {
        return vec![Event::StepCanceled { step: id }];
    }
    let policy = &state.step_spec(step).retry;
    if failure.kind == FailureKind::LeaseLost && lease.progressed && !policy.rules_out(&failure) {
        // The attempt made progress before it was lost, so the step itself is not to blame: it uses up no retry.
        let not_before = later(now, backoff(policy, 1));
        let reason = format!("lost after a new checkpoint: {}", failure.message);
        return vec![
            Event::AttemptReleased { step: id.clone(), fence, reason, cause: Some(ReleaseCause::Stopped) },
            Event::StepReady { step: id, not_before },
        ];
    }
    let next = match verdict(policy, step.failures, &failure) {
        Verdict::RetryAfter(pause) => Event::StepReady { step: id.clone(), not_before: later(now, pause) },
        Verdict::GiveUp => Event::StepFailed { step: id.clone(), failure: failure.clone() },
    };
    vec![Event::AttemptFailed { step: id, fence, failure }, next]
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
        return vec![Event::StepCanceled { step: id }];
    }
    let poison = cause == ReleaseCause::EngineDied && step.losses + 1 >= MAXIMUM_LOSSES_IN_A_ROW;
    let released = Event::AttemptReleased { step: id.clone(), fence, reason, cause: Some(cause) };
    let next = if poison {
        let message =
            format!("the engine died {MAXIMUM_LOSSES_IN_A_ROW} times in a row during this step, without a checkpoint");
        let failure = Failure::new(FailureKind::LeaseLost, message)
            .with_hint("look for exhausted memory in the system log; `stepwell resume` tries the step again");
        Event::StepFailed { step: id, failure }
    } else {
        Event::StepReady { step: id, not_before: now }
    };
    vec![released, next]
}

fn expire(state: &RunState, now: Timestamp) -> Decision {
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
            _ => events.push(Event::StepFailed { step: step.id.clone(), failure: too_late(state, step) }),
        }
    }
    if !events.is_empty() {
        events.splice(0..0, starting(state));
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
        StepState::Waiting(wait) => format!("it was waiting for {}", wait::awaited(wait)),
        _ => format!("after {} attempts", step.attempts),
    };
    let message = format!("the step was not done within {seconds} s of being ready, {how}");
    Failure::new(FailureKind::ScheduleToClose, message)
        .with_hint("raise `timeout.schedule_to_close` of the step; `stepwell resume` gives it the same time again")
}

fn cancel(state: &RunState) -> Decision {
    if state.end.is_some() || state.lifecycle == Lifecycle::Canceling {
        return Decision::default();
    }
    let effects = state.leases().map(|(step, lease)| Effect::Cancel { step: step.id.clone(), fence: lease.fence });
    Decision { events: vec![Event::RunCancelRequested], effects: effects.collect() }
}

fn pause(state: &RunState, cause: PauseCause, reason: String) -> Decision {
    if state.end.is_some() || matches!(state.lifecycle, Lifecycle::Canceling | Lifecycle::Paused) {
        return Decision::default();
    }
    let effects = state.leases().map(|(step, lease)| Effect::Interrupt { step: step.id.clone(), fence: lease.fence });
    Decision { events: vec![Event::RunPaused { reason, cause: Some(cause) }], effects: effects.collect() }
}

fn interrupt(state: &RunState, reason: String) -> Decision {
    if state.end.is_some() || state.lifecycle != Lifecycle::Active || !state.started {
        return Decision::default();
    }
    if state.leased.is_empty() {
        return Decision::event(Event::RunInterrupted { reason });
    }
    let effects = state.leases().map(|(step, lease)| Effect::Interrupt { step: step.id.clone(), fence: lease.fence });
    Decision { events: Vec::new(), effects: effects.collect() }
}
