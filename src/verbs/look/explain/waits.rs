//! Explains why a step has not run yet: one function per reason, which returns `None` or nothing when it does not
//! apply.

use super::limits::{missing, waits_for};
use super::{Reason, Situation};
use crate::error::CliError;
use crate::view::run_handle::handle;
use crate::view::words::step_is;
use stepwell_base::shell;
use stepwell_run::event::Wait;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::StepRow;
use stepwell_workflow::spec::StepSpec;

/// Most steps that a reason names.
const MOST_HOLDERS: usize = 8;

type Check = fn(&Situation<'_>, &StepRow) -> Option<Reason>;

/// Checks for a ready step, in the order in which a person has to deal with them; the first that applies is reported.
const READY: [Check; 3] = [stopped, no_engine, backoff];

pub(super) fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<Reason>, CliError> {
    Ok(match step.status {
        StepStatus::Pending => {
            let needs = needs(situation, step);
            // Nothing is scheduled without an engine, so a first step is not even ready.
            let idle = if needs.is_empty() { no_engine(situation, step) } else { None };
            stopped(situation, step).or(idle).into_iter().chain(needs).collect()
        }
        StepStatus::Ready => match READY.iter().find_map(|check| check(situation, step)) {
            Some(reason) => vec![reason],
            None => vec![match limits(situation, step)? {
                Some(reason) => reason,
                None => slot(situation)?,
            }],
        },
        StepStatus::Waiting => {
            let first = stopped(situation, step).or_else(|| no_engine(situation, step));
            outside(situation, step).into_iter().chain(first).collect()
        }
        StepStatus::Expanded => stopped(situation, step).into_iter().chain([items(situation, step)]).collect(),
        // Its engine died.
        StepStatus::Running if situation.run.status == RunStatus::Interrupted => {
            no_engine(situation, step).into_iter().collect()
        }
        StepStatus::Running
        | StepStatus::Succeeded
        | StepStatus::Failed
        | StepStatus::Skipped
        | StepStatus::Canceled => Vec::new(),
    })
}

/// A run status that keeps every step from being claimed, with or without an engine.
fn stopped(situation: &Situation<'_>, _step: &StepRow) -> Option<Reason> {
    let run = situation.run;
    match run.status {
        RunStatus::Paused => {
            let reason = run.pause_reason.as_deref().unwrap_or("no reason was given");
            Some(Reason::new("paused", format!("the run is paused ({reason}): {} continues it", resume(situation))))
        }
        RunStatus::Canceling => Some(Reason::new("canceling", "the run is being canceled")),
        RunStatus::Failed => {
            Some(Reason::new("run_failed", format!("the run has failed: {} continues it", resume(situation))))
        }
        RunStatus::Pending
        | RunStatus::Running
        | RunStatus::Interrupted
        | RunStatus::Succeeded
        | RunStatus::Canceled => None,
    }
}

fn resume(situation: &Situation<'_>) -> String {
    shell::stepwell("resume", [&*handle(situation.reader, situation.run)])
}

fn no_engine(situation: &Situation<'_>, _step: &StepRow) -> Option<Reason> {
    let resume = resume(situation);
    let Some(engine) = &situation.engine else {
        let message = format!("no engine is running: {resume} or `stepwell worker` starts one");
        return Some(Reason::new("no_engine", message));
    };
    if let Some(other) = engine.run.filter(|run| !situation.family.contains(run)) {
        let other = situation.reader.run(other).map_or_else(|_| other.to_string(), |run| format!("`{}`", run.name));
        let message =
            format!("{} drives only run {other}: {resume} waits for its end and then drives this run", engine.short());
        let code = if situation.run.status == RunStatus::Interrupted { "interrupted" } else { "other_run" };
        return Some(Reason::new(code, message));
    }
    None
}

fn backoff(situation: &Situation<'_>, step: &StepRow) -> Option<Reason> {
    let at = step.not_before.filter(|at| *at > situation.now)?;
    let why = step.failure.as_ref().map(|failure| format!(" after: {failure}")).unwrap_or_default();
    let retries = match step.retries_used {
        1 => "1 retry".to_owned(),
        used => format!("{used} retries"),
    };
    Some(Reason::new("backoff", format!("waits to be retried at {at} ({retries} used){why}")))
}

fn limits(situation: &Situation<'_>, step: &StepRow) -> Result<Option<Reason>, CliError> {
    let Some(spec) = situation.spec_of(step) else { return Ok(None) };
    let message = match waits_for(&situation.limits, situation.reader, spec)? {
        Some(message) => Some(message),
        None => reserved(situation, step, spec)?,
    };
    Ok(message.map(|message| Reason::new("limits", message)))
}

/// Finds an earlier step that needs more units of the same pools, so that free units are reserved for it.
fn reserved(situation: &Situation<'_>, step: &StepRow, spec: &StepSpec) -> Result<Option<String>, CliError> {
    let shares = |other: &StepSpec| other.resources.keys().any(|pool| spec.resources.contains_key(pool));
    let ready = situation.steps.iter().filter(|other| other.status == StepStatus::Ready && other.id != step.id);
    for other in ready {
        let Some(needy) = situation.spec_of(other).filter(|spec| shares(spec)) else { continue };
        if missing(&situation.limits, situation.reader, needy)?.is_some() {
            let message =
                format!("waits for its turn: units of its pools are reserved for `{}`, which comes first", other.id);
            return Ok(Some(message));
        }
    }
    Ok(None)
}

fn slot(situation: &Situation<'_>) -> Result<Reason, CliError> {
    let running = situation.reader.all_running_steps()?;
    let holders: Vec<String> =
        running.iter().take(MOST_HOLDERS).map(|(run, step)| format!("run {run}, step {step}")).collect();
    let more = if running.len() > MOST_HOLDERS { "; ..." } else { "" };
    let holders = format!("{}{more}", holders.join("; "));
    let slots = situation.engine.as_ref().and_then(|engine| engine.slots);
    Ok(Reason::new("slot", slot_text(running.len(), &holders, slots, situation.slots)))
}

/// `slots` of the engine, if it recorded them, may differ from those in the settings here.
fn slot_text(used: usize, holders: &str, slots: Option<usize>, here: usize) -> String {
    let of = slots.map(|slots| format!(" of the engine's {slots}")).unwrap_or_default();
    let advice = match slots {
        Some(slots) if slots < here => format!("the settings here have `slots = {here}`: a new engine uses them"),
        _ => format!("`slots = {}` in `stepwell.toml` allows more once the engine starts again", here + 1),
    };
    format!("waits for a free slot: {used}{of} are in use ({holders}); {advice}")
}

fn needs(situation: &Situation<'_>, step: &StepRow) -> Vec<Reason> {
    let needs = situation.spec_of(step).map_or(&[][..], |spec| &spec.needs);
    let unmet = needs.iter().filter_map(|need| situation.steps.iter().find(|other| other.id == *need));
    unmet
        .filter(|other| other.status != StepStatus::Succeeded)
        .map(|other| {
            let mut message = format!("waits for `{}`, which {}", other.id, step_is(other, situation.run.status, 1));
            if other.status == StepStatus::Failed {
                let retry = shell::stepwell("retry", [&*handle(situation.reader, situation.run), other.id.as_str()]);
                message.push_str(&format!(": {retry} tries it again"));
            }
            Reason::new("needs", message)
        })
        .collect()
}

fn outside(situation: &Situation<'_>, step: &StepRow) -> Option<Reason> {
    let name = handle(situation.reader, situation.run);
    Some(match step.wait.as_ref()? {
        Wait::Approval { prompt, .. } => {
            let approve = shell::stepwell("approve", [&*name, step.id.as_str()]);
            let message = format!("waits for a person: {prompt}; {approve} answers");
            Reason::new("approval", message)
        }
        Wait::Signal { name: signal } => {
            Reason::new("signal", format!("waits for a signal: {}", shell::stepwell("signal", [&*name, signal])))
        }
        Wait::Run { run } => Reason::new("child_run", format!("waits for the child run {run}")),
    })
}

fn items(situation: &Situation<'_>, step: &StepRow) -> Reason {
    let children = situation.steps.iter().filter(|other| other.parent.as_ref() == Some(&step.id));
    let (done, open): (Vec<&StepRow>, Vec<&StepRow>) = children.partition(|child| child.status.is_terminal());
    let first: Vec<&str> = open.iter().take(5).map(|child| child.id.as_str()).collect();
    // The items of a large fan-out are not read.
    let (ended, total) = step
        .children
        .map_or((done.len() as u64, (done.len() + open.len()) as u64), |all| (all.done + all.failed, all.total));
    let next = if first.is_empty() { String::new() } else { format!("; next: {}", first.join(", ")) };
    Reason::new("items", format!("waits for its items: {ended} of {total} are done{next}"))
}

#[cfg(test)]
mod tests {
    use super::slot_text;

    #[test]
    fn a_missing_slot_is_told_with_the_slots_of_the_engine() {
        assert_eq!(
            slot_text(2, "run a, step x; run a, step y", Some(2), 2),
            "waits for a free slot: 2 of the engine's 2 are in use (run a, step x; run a, step y); \
             `slots = 3` in `stepwell.toml` allows more once the engine starts again"
        );
        assert_eq!(
            slot_text(1, "run a, step x", Some(1), 4),
            "waits for a free slot: 1 of the engine's 1 are in use (run a, step x); \
             the settings here have `slots = 4`: a new engine uses them"
        );
    }
}
