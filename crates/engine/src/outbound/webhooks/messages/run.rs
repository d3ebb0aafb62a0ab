//! Events of runs.

use serde_json::{Value, json};

use super::content::Content;
use super::subject::Subject;
use crate::notifier::numbers;
use stepwell_run::event::{Event, RunEvent, StepEvent, StepEventKind, Wait};
use stepwell_store::{HashedEvent, Reader, RunRow, StoreError};
use stepwell_workflow::webhook::EventType;

pub(super) struct Runs;

impl Subject for Runs {
    fn concerns(&self, event: &Event) -> bool {
        kind(event).is_some()
    }

    fn contents(&self, reader: &Reader, event: &HashedEvent) -> Result<Vec<Content>, StoreError> {
        let row = &event.row;
        let Some((kind, status)) = kind(&row.event) else { return Ok(Vec::new()) };
        let run = reader.run(row.run)?;
        // A child run starts and ends within its parent run, which is told.
        if run.parent().is_some() && ![EventType::RunWaiting, EventType::RunAlerted].contains(&kind) {
            return Ok(Vec::new());
        }
        let mut data = json!({ "run": run_form(reader, &run, status)? });
        let mut text = format!("run {} {}", run.name, said(kind));
        match &row.event {
            Event::Run(RunEvent::Failed { step, failure }) => {
                text.push_str(&format!(" at step {step}: {}", failure.headline()));
                data["failure"] = failure_form(step.as_str(), failure);
            }
            Event::Run(RunEvent::Succeeded) => data["values"] = Value::Object(numbers(reader, run.id)?),
            Event::Run(RunEvent::Paused { reason, .. } | RunEvent::Interrupted { reason }) => {
                text.push_str(&format!(": {}", cut(reason)));
                data["reason"] = cut(reason).into();
            }
            Event::Run(RunEvent::Alerted { alert, message }) => {
                text.push_str(&format!(": {}", cut(message)));
                data["alert"] = json!({ "kind": alert.as_str(), "message": cut(message) });
            }
            Event::Step(StepEvent { step, kind: StepEventKind::Waiting { wait }, .. }) => {
                text.push_str(&format!(" {} at step {step}", wait.describe()));
                data["step"] = step.as_str().into();
                data["wait"] = wait_form(wait);
            }
            _ => {}
        }
        Ok(vec![Content::new(kind, text, data)])
    }
}

/// The type of a message, and the status of the run after the event.
fn kind(event: &Event) -> Option<(EventType, &'static str)> {
    Some(match event {
        Event::Run(event) => match event {
            RunEvent::Started => (EventType::RunStarted, "running"),
            RunEvent::Succeeded => (EventType::RunSucceeded, "succeeded"),
            RunEvent::Failed { .. } => (EventType::RunFailed, "failed"),
            RunEvent::Canceled => (EventType::RunCanceled, "canceled"),
            RunEvent::Paused { .. } => (EventType::RunPaused, "paused"),
            RunEvent::Resumed => (EventType::RunResumed, "running"),
            RunEvent::Interrupted { .. } => (EventType::RunInterrupted, "interrupted"),
            RunEvent::Alerted { .. } => (EventType::RunAlerted, "running"),
            _ => return None,
        },
        Event::Step(StepEvent { kind: StepEventKind::Waiting { wait }, .. }) => match wait {
            Wait::Approval { .. } | Wait::Signal { .. } => (EventType::RunWaiting, "running"),
            Wait::Run { .. } => return None,
        },
        Event::Step(_) => return None,
    })
}

fn said(kind: EventType) -> &'static str {
    match kind {
        EventType::RunStarted => "has started",
        EventType::RunSucceeded => "has succeeded",
        EventType::RunFailed => "has failed",
        EventType::RunCanceled => "was canceled",
        EventType::RunPaused => "is paused",
        EventType::RunResumed => "continues",
        EventType::RunInterrupted => "is interrupted",
        EventType::RunWaiting => "waits for",
        _ => "needs attention",
    }
}

/// A run as it was after the event.
pub(super) fn run_form(reader: &Reader, run: &RunRow, status: &str) -> Result<Value, StoreError> {
    Ok(json!({
        "id": run.id,
        "name": run.name,
        "workflow": run.workflow,
        "status": status,
        "parent": run.parent(),
        "created_at": run.created_at,
        "tags": reader.annotation(run.id)?.tags,
    }))
}

pub(super) fn failure_form(step: &str, failure: &stepwell_base::failure::Failure) -> Value {
    json!({
        "step": step,
        "kind": failure.kind.as_str(),
        "message": cut(&failure.message),
        "hint": failure.hint.as_deref().map(cut),
    })
}

fn wait_form(wait: &Wait) -> Value {
    match wait {
        Wait::Approval { prompt, .. } => json!({ "for": "approval", "prompt": cut(prompt) }),
        Wait::Signal { name } => json!({ "for": "signal", "name": name }),
        Wait::Run { run } => json!({ "for": "run", "run": run }),
    }
}

/// Longest text of a message, in characters.
const LONGEST: usize = 1000;

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} [...]", &text[..end]),
        None => text.to_owned(),
    }
}
