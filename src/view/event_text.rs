//! Events of runs as lines for people.

use stepwell_base::shell;
use stepwell_run::event::{Event, Recorded, Wait};

/// Describes the end of a run if no report follows it.
pub fn ending(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunSucceeded => "succeeded".to_owned(),
        Event::RunFailed { step, failure } => format!("failed: step `{step}`: {}", failure.headline()),
        Event::RunCanceled => "canceled".to_owned(),
        _ => return None,
    })
}

pub fn is_ending(event: &Event) -> bool {
    matches!(event, Event::RunSucceeded | Event::RunFailed { .. } | Event::RunCanceled)
}

/// The command that a person types to answer a waiting step.
pub fn how_to_answer(recorded: &Recorded) -> Option<String> {
    let Recorded { run, event: Event::StepWaiting { step, wait }, .. } = recorded else { return None };
    let run = run.to_string();
    match wait {
        Wait::Approval { .. } => {
            let approve = shell::stepwell("approve", [&*run, step.as_str()]);
            Some(format!("{approve}, or with `--reject`, from any terminal"))
        }
        Wait::Signal { name } => Some(format!("{} sends it", shell::stepwell("signal", [&*run, name]))),
        Wait::Run { .. } => None,
    }
}

/// One line about an event that a person wants to see; `None` for the rest.
pub fn describe(event: &Event) -> Option<String> {
    Some(match event {
        Event::AttemptStarted { step, attempt, .. } if *attempt > 1 => {
            format!("{step}  started again (attempt {attempt})")
        }
        Event::AttemptStarted { step, .. } => format!("{step}  started"),
        Event::StepSucceeded { step, .. } => format!("{step}  done"),
        Event::StepReused { step, .. } => format!("{step}  reused: an equal step has succeeded before"),
        Event::StepExpanded { step, items } => format!("{step}  {} items", items.len()),
        Event::StepSkipped { step, reason } => format!("{step}  skipped: {reason}"),
        Event::AttemptFailed { step, failure, .. } => format!("{step}  attempt failed: {}", failure.headline()),
        Event::AttemptReleased { step, reason, .. } => format!("{step}  stopped: {reason}"),
        Event::AttemptRewound { step, last_step, .. } if *last_step > 0 => {
            format!("{step}  resumes from the checkpoint at training step {last_step}")
        }
        Event::StepWaiting { step, wait: Wait::Approval { prompt, .. } } => {
            format!("{step}  waits for a person: {prompt}")
        }
        Event::StepWaiting { step, wait: Wait::Signal { name } } => format!("{step}  waits for the signal {name}"),
        Event::StepWaiting { step, wait: Wait::Run { run } } => format!("{step}  waits for the child run {run}"),
        Event::StepDecided { step, ruling } => {
            let by = ruling.approver.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
            let comment = ruling.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
            format!("{step}  {}{by}{comment}", ruling.verdict.as_str())
        }
        Event::SignalReceived { name, .. } => format!("signal {name}"),
        Event::StepFailed { step, .. } => format!("{step}  failed"),
        Event::StepCanceled { step } => format!("{step}  canceled"),
        Event::Note { step, message, .. } => format!("{step}  note: {message}"),
        Event::RunResumed => "resumed".to_owned(),
        Event::RunAlerted { message, .. } => format!("alert: {message}"),
        Event::RunBudgetRaised { .. } => "the budget was raised".to_owned(),
        _ => return None,
    })
}
