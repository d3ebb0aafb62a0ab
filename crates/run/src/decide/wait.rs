//! Decisions about steps that wait for a person, a signal or a child run. Such steps have no attempts; the
//! event log holds everything about their wait.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::deadline::too_late;
use crate::command::{Decision, OnFalse};
use crate::event::{Event, Ruling, RunEvent, StepEventKind, Verdict, Wait};
use crate::state::{Lifecycle, RunState, Signal, Step, StepState};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_workflow::key::canonical;

/// Returns the events of a gate whose rule was evaluated: the decision, then its consequence.
pub(super) fn ruled(step: StepId, ruling: Ruling, on_false: OnFalse) -> Vec<Event> {
    let next = match (ruling.verdict, on_false) {
        (Verdict::Approved, _) => passed(&step, Fence(0), true, None, None),
        (Verdict::Rejected, OnFalse::Continue) => passed(&step, Fence(0), false, None, None),
        (Verdict::Rejected, OnFalse::Ask { prompt }) => {
            let wait = Wait::Approval { prompt, inputs: ruling.inputs.clone() };
            StepEventKind::Waiting { wait }.of(step.clone())
        }
        (Verdict::Rejected, OnFalse::Fail) => {
            let message = format!("the rule `{}` is false for {}", ruling.rule, listed(&ruling.inputs));
            let failure = Failure::fatal(message)
                .with_hint("`on_false = \"ask\"` lets a person decide, `\"continue\"` succeeds with `passed = false`");
            StepEventKind::Failed { failure }.of(step.clone())
        }
    };
    vec![StepEventKind::Decided { ruling }.of(step), next]
}

/// Formats inputs as `loss = 2.5, documents = 12`.
fn listed(inputs: &Value) -> String {
    let pairs = inputs.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name} = {}", canonical(value))).collect();
    if pairs.is_empty() { "no inputs".to_owned() } else { pairs.join(", ") }
}

fn passed(step: &StepId, fence: Fence, passed: bool, approver: Option<&str>, comment: Option<&str>) -> Event {
    let mut values = Map::from_iter([("passed".to_owned(), Value::Bool(passed))]);
    values.extend(approver.map(|name| ("approver".to_owned(), Value::from(name))));
    values.extend(comment.map(|text| ("comment".to_owned(), Value::from(text))));
    StepEventKind::Succeeded { outputs: Outputs { values, ..Outputs::default() } }.under(step.clone(), fence)
}

/// Handles a person's answer; ignores it once the deadline has passed.
pub(super) fn decided(
    state: &RunState,
    step: &StepId,
    (verdict, approver, comment): (Verdict, String, Option<String>),
    now: Timestamp,
) -> Decision {
    let Some((entry, Wait::Approval { prompt, inputs })) = waiting(state, step) else { return Decision::default() };
    if state.is_too_late(entry, now) {
        return Decision::default();
    }
    let next = match verdict {
        Verdict::Approved => passed(step, entry.fence, true, Some(&approver), comment.as_deref()),
        Verdict::Rejected => {
            let why = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
            let failure =
                Failure::fatal(format!("rejected by {approver}{why}")).with_hint("`stepwell resume` asks again");
            StepEventKind::Failed { failure }.of(step.clone())
        }
    };
    let ruling = Ruling { rule: prompt.clone(), inputs: inputs.clone(), verdict, approver: Some(approver), comment };
    Decision::events([StepEventKind::Decided { ruling }.of(step.clone()), next])
}

/// Stores the signal even if no step waits for it; `consequence` delivers it.
pub(super) fn signaled(state: &RunState, name: String, payload: Value) -> Decision {
    if state.end.is_some() {
        return Decision::default();
    }
    Decision::event(RunEvent::SignalReceived { name, payload })
}

pub(super) fn signal_outputs(signal: &Signal) -> Outputs {
    let values = json!({ "name": signal.name, "payload": signal.payload });
    Outputs { values: values.as_object().cloned().unwrap_or_default(), ..Outputs::default() }
}

pub(super) fn child_ended(
    state: &RunState,
    step: &StepId,
    run: RunId,
    result: Result<Outputs, Failure>,
    now: Timestamp,
) -> Decision {
    match waiting(state, step) {
        Some((entry, Wait::Run { run: awaited })) if *awaited == run => {
            Decision::event(match (state.lifecycle, result) {
                (Lifecycle::Canceling, _) => StepEventKind::Canceled.of(step.clone()),
                (_, Ok(outputs)) => StepEventKind::Succeeded { outputs }.under(step.clone(), entry.fence),
                // The child run was canceled because this step missed its deadline.
                (_, Err(failure)) if failure.kind == FailureKind::Canceled && state.is_too_late(entry, now) => {
                    StepEventKind::Failed { failure: too_late(state, entry) }.of(step.clone())
                }
                (_, Err(failure)) => StepEventKind::Failed { failure }.of(step.clone()),
            })
        }
        _ => Decision::default(),
    }
}

fn waiting<'a>(state: &'a RunState, step: &StepId) -> Option<(&'a Step, &'a Wait)> {
    let step = state.step(step).filter(|_| state.end.is_none())?;
    match &step.state {
        StepState::Waiting(wait) => Some((step, wait)),
        _ => None,
    }
}

/// Builds the failure of a step whose child run failed or was canceled.
pub fn child_failure(name: &str, run: RunId, failure: Option<(&StepId, &Failure)>) -> Failure {
    match failure {
        Some((step, failure)) => {
            let message = format!("the child run {name} failed: step `{step}`: {}", failure.message);
            let hint = format!("`stepwell show {run}` has its steps");
            Failure { message, hint: failure.hint.clone().or(Some(hint)), ..failure.clone() }
        }
        None => Failure::new(FailureKind::Canceled, format!("the child run {name} was canceled"))
            .with_hint("`stepwell resume` of this run starts it again"),
    }
}
