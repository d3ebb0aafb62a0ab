//! Why a step has not run yet: one function per reason, which says nothing when it is not the reason.

use super::{Reason, Situation};
use crate::cli::error::CliError;
use crate::cli::explain_limits::waits_for;
use crate::core::event::Wait;
use crate::core::status::{RunStatus, StepStatus};
use crate::store::StepRow;

type Check = fn(&Situation<'_>, &StepRow) -> Option<Reason>;

/// What keeps a ready step, in the order in which it has to be dealt with: the first that holds is told.
const READY: [Check; 3] = [stopped, no_engine, backoff];

pub(super) fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<Reason>, CliError> {
    Ok(match step.status {
        StepStatus::Pending => stopped(situation, step).into_iter().chain(needs(situation, step)).collect(),
        StepStatus::Ready => match READY.iter().find_map(|check| check(situation, step)) {
            Some(reason) => vec![reason],
            None => vec![limits(situation, step)?.unwrap_or_else(|| slot(situation))],
        },
        StepStatus::Waiting => stopped(situation, step).into_iter().chain(outside(situation, step)).collect(),
        StepStatus::Expanded => stopped(situation, step).into_iter().chain([items(situation, step)]).collect(),
        StepStatus::Running
        | StepStatus::Succeeded
        | StepStatus::Failed
        | StepStatus::Skipped
        | StepStatus::Canceled => Vec::new(),
    })
}

/// Nothing of the run is claimed, whatever an engine does.
fn stopped(situation: &Situation<'_>, _step: &StepRow) -> Option<Reason> {
    let run = situation.run;
    match run.status {
        RunStatus::Paused => {
            let reason = run.pause_reason.as_deref().unwrap_or("no reason was given");
            Some(Reason::new("paused", format!("the run is paused ({reason}): `stepwell resume {}` goes on", run.name)))
        }
        RunStatus::Canceling => Some(Reason::new("canceling", "the run is being canceled")),
        RunStatus::Failed => {
            Some(Reason::new("run_failed", format!("the run has failed: `stepwell resume {}` goes on", run.name)))
        }
        RunStatus::Pending
        | RunStatus::Running
        | RunStatus::Interrupted
        | RunStatus::Succeeded
        | RunStatus::Canceled => None,
    }
}

fn no_engine(situation: &Situation<'_>, _step: &StepRow) -> Option<Reason> {
    let name = &situation.run.name;
    if !situation.served {
        let message = format!("no engine is running: `stepwell resume {name}` or `stepwell worker` starts one");
        return Some(Reason::new("no_engine", message));
    }
    (situation.run.status == RunStatus::Interrupted).then(|| {
        let message = format!("the running engine drives something else: `stepwell resume {name}` asks it to go on");
        Reason::new("interrupted", message)
    })
}

fn backoff(situation: &Situation<'_>, step: &StepRow) -> Option<Reason> {
    let at = step.not_before.filter(|at| *at > situation.now)?;
    let why = step.failure.as_ref().map(|failure| format!(" after: {}", failure.message)).unwrap_or_default();
    let retries = step.retries_used;
    Some(Reason::new("backoff", format!("waits to be retried at {at} ({retries} retries used){why}")))
}

/// Pools and rate limits.
fn limits(situation: &Situation<'_>, step: &StepRow) -> Result<Option<Reason>, CliError> {
    let Some(spec) = situation.spec_of(step) else { return Ok(None) };
    let message = waits_for(&situation.limits, situation.reader, spec)?;
    Ok(message.map(|message| Reason::new("limits", message)))
}

fn slot(situation: &Situation<'_>) -> Reason {
    let running = situation.steps.iter().filter(|other| other.status == StepStatus::Running).count();
    let message = format!("waits for a free slot: {running} steps of this run are running; `slots` sets how many may");
    Reason::new("slot", message)
}

fn needs(situation: &Situation<'_>, step: &StepRow) -> Vec<Reason> {
    let needs = situation.spec_of(step).map_or(&[][..], |spec| &spec.needs);
    let unmet = needs.iter().filter_map(|need| situation.steps.iter().find(|other| other.id == *need));
    unmet
        .filter(|other| other.status != StepStatus::Succeeded)
        .map(|other| {
            let mut message = format!("waits for `{}`, which is {}", other.id, other.status.as_str());
            if other.status == StepStatus::Failed {
                message.push_str(&format!(": `stepwell retry {} {}` tries it again", situation.run.name, other.id));
            }
            Reason::new("needs", message)
        })
        .collect()
}

fn outside(situation: &Situation<'_>, step: &StepRow) -> Option<Reason> {
    let name = &situation.run.name;
    Some(match step.wait.as_ref()? {
        Wait::Approval { prompt, .. } => {
            let message = format!("waits for a person: {prompt}; `stepwell approve {name} {}` answers", step.id);
            Reason::new("approval", message)
        }
        Wait::Signal { name: signal } => {
            Reason::new("signal", format!("waits for a signal: `stepwell signal {name} {signal}`"))
        }
        Wait::Run { run } => Reason::new("child_run", format!("waits for the child run {run}")),
    })
}

fn items(situation: &Situation<'_>, step: &StepRow) -> Reason {
    let children = situation.steps.iter().filter(|other| other.parent.as_ref() == Some(&step.id));
    let (done, open): (Vec<&StepRow>, Vec<&StepRow>) = children.partition(|child| child.status.is_terminal());
    let first: Vec<&str> = open.iter().take(5).map(|child| child.id.as_str()).collect();
    let total = done.len() + open.len();
    let message = format!("waits for its items: {} of {total} are done; next: {}", done.len(), first.join(", "));
    Reason::new("items", message)
}
