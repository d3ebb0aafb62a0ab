//! Events of runs as lines for people.

use super::words::{count, verdict};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::Progress;
use stepwell_base::shell;
use stepwell_base::visible::visible_line;
use stepwell_run::event::{Event, RunEvent, StepEvent, StepEventKind, Wait};

/// Most lines of a program after its failure.
const MOST_LAST_LINES: usize = 5;
/// Most characters of each.
const LINE_CHARACTERS: usize = 200;

/// Describes the end of a run if no report follows it.
pub fn ending(event: &Event) -> Option<String> {
    Some(match event {
        Event::Run(RunEvent::Succeeded) => "succeeded".to_owned(),
        Event::Run(RunEvent::Failed { step, failure }) => format!("failed: step `{step}`: {}", failure.headline()),
        Event::Run(RunEvent::Canceled) => "canceled".to_owned(),
        _ => return None,
    })
}

pub fn is_ending(event: &Event) -> bool {
    matches!(event, Event::Run(RunEvent::Succeeded | RunEvent::Failed { .. } | RunEvent::Canceled))
}

/// The command that a person types to answer a waiting step.
pub fn how_to_answer(run: RunId, step: &StepId, wait: &Wait) -> Option<String> {
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

/// One line about the progress of a step.
pub fn progress_line(step: &StepId, progress: &Progress) -> String {
    let Progress { done, total, unit, message } = progress;
    let share = done.saturating_mul(100).checked_div(*total).unwrap_or(0);
    let line = format!("{step}  {done}/{total} {unit} ({share} %)  {}", visible_line(message));
    line.trim_end().to_owned()
}

/// One line about an event that a person wants to see; `None` for the rest.
pub fn describe(event: &Event) -> Option<String> {
    match event {
        Event::Run(event) => describe_run(event),
        Event::Step(StepEvent { step, kind, .. }) => Some(format!("{step}  {}", describe_step(kind)?)),
    }
}

/// The first line of a failure, and indented below it the last ones, which usually say why.
fn with_last_lines(failure: &Failure) -> String {
    let mut lines = failure.message.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = lines.collect();
    let last = &rest[rest.len().saturating_sub(MOST_LAST_LINES)..];
    let cut = |line: &&str| line.chars().take(LINE_CHARACTERS).collect::<String>();
    last.iter().map(cut).fold(first, |text, line| format!("{text}\n    {line}"))
}

fn describe_run(event: &RunEvent) -> Option<String> {
    Some(match event {
        RunEvent::SignalReceived { name, .. } => format!("signal {name}"),
        RunEvent::Resumed => "resumed".to_owned(),
        RunEvent::Alerted { message, .. } => format!("alert: {message}"),
        RunEvent::BudgetRaised { .. } => "the budget was raised".to_owned(),
        _ => return None,
    })
}

/// What a step waits for.
pub fn waits(wait: &Wait) -> String {
    match wait {
        Wait::Approval { prompt, .. } => format!("waits for a person: {prompt}"),
        Wait::Signal { name } => format!("waits for the signal {name}"),
        Wait::Run { run } => format!("waits for the child run {run}"),
    }
}

fn describe_step(kind: &StepEventKind) -> Option<String> {
    Some(match kind {
        StepEventKind::AttemptStarted { attempt, .. } if *attempt > 1 => format!("started again (attempt {attempt})"),
        StepEventKind::AttemptStarted { .. } => "started".to_owned(),
        StepEventKind::Succeeded { .. } => "done".to_owned(),
        StepEventKind::Reused { .. } => "reused: an equal step has succeeded before".to_owned(),
        StepEventKind::Expanded { items } => count(items.len() as u64, "item"),
        StepEventKind::Skipped { reason } => format!("skipped: {reason}"),
        StepEventKind::AttemptFailed { failure } => format!("attempt failed: {}", with_last_lines(failure)),
        StepEventKind::AttemptReleased { reason, .. } => format!("stopped: {reason}"),
        StepEventKind::AttemptRewound { last_step } if *last_step > 0 => {
            // Scripts look for these words.
            format!("goes on from the checkpoint at training step {last_step}")
        }
        StepEventKind::Waiting { wait } => waits(wait),
        StepEventKind::Decided { ruling } => {
            let by = ruling.approver.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
            let comment = ruling.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
            format!("{}{by}{comment}", verdict(ruling))
        }
        StepEventKind::Failed { .. } => "failed".to_owned(),
        StepEventKind::Canceled => "canceled".to_owned(),
        StepEventKind::Note { message } => format!("note: {message}"),
        _ => return None,
    })
}
