//! The spans that end with an event.

use super::ids;
use super::span::{Attributes, Span, Status, Value};
use super::story::{RunStory, Stories};
use stepwell_base::failure::Failure;
use stepwell_base::ids::StepId;
use stepwell_run::event::{Event, RunEvent, StepEvent, StepEventKind};
use stepwell_run::run_options::Origin;
use stepwell_store::{EventRow, Reader, RunRow, StepRow, StoreError};

/// Runs within runs that are followed up to the outermost one.
const DEEPEST: usize = 64;
/// Longest message of an error, in characters.
const LONGEST: usize = 1000;

/// True if spans may end with this event.
pub(super) fn ends_spans(event: &Event) -> bool {
    match event {
        Event::Run(event) => {
            matches!(event, RunEvent::Succeeded | RunEvent::Failed { .. } | RunEvent::Canceled)
        }
        Event::Step(StepEvent { kind, .. }) => matches!(
            kind,
            StepEventKind::Succeeded { .. }
                | StepEventKind::Failed { .. }
                | StepEventKind::Canceled
                | StepEventKind::Skipped { .. }
                | StepEventKind::Reused { .. }
                | StepEventKind::AttemptFailed { .. }
                | StepEventKind::AttemptReleased { .. }
        ),
    }
}

/// The spans that end with an event, whose run has come so far. The event is not part of the stories yet.
pub(super) fn spans(reader: &Reader, stories: &mut Stories, row: &EventRow) -> Result<Vec<Span>, StoreError> {
    let run = reader.run(row.run)?;
    let (trace, outer) = place(reader, stories, &run, row.seq)?;
    let place = Place { trace, outer, run };
    let story = stories.of(reader, row.run, row.seq)?;
    Ok(match &row.event {
        Event::Run(event) => vec![of_run(&place, story, row, event)],
        Event::Step(StepEvent { step, kind, .. }) => {
            // A pruned run has no steps any more.
            let known = reader.step(row.run, step).ok();
            of_step(&place, story, row, (step, kind), known)
        }
    })
}

/// Where the spans of a run belong.
struct Place {
    trace: [u8; 16],
    /// The step that started the run.
    outer: Option<[u8; 8]>,
    run: RunRow,
}

fn of_run(place: &Place, story: &RunStory, row: &EventRow, event: &RunEvent) -> Span {
    let run = &place.run;
    let status = match event {
        RunEvent::Failed { failure, .. } => Status::Error(message(failure)),
        RunEvent::Canceled => Status::Error("canceled".to_owned()),
        _ => Status::Ok,
    };
    let (name, parent) = match story.ends {
        0 => (format!("run {}", run.workflow), place.outer),
        _ => (format!("run {} resumed", run.workflow), Some(ids::of_run(run.id, 0))),
    };
    Span {
        trace: place.trace,
        id: ids::of_run(run.id, story.ends),
        parent,
        name,
        start: story.started.unwrap_or(run.created_at).min(row.at),
        end: row.at,
        attributes: attributes_of_run(run),
        moments: Vec::new(),
        status,
    }
}

fn of_step(
    place: &Place,
    whole: &RunStory,
    row: &EventRow,
    (step, kind): (&StepId, &StepEventKind),
    known: Option<StepRow>,
) -> Vec<Span> {
    let run = &place.run;
    let story = whole.step(step);
    let mut attributes = attributes_of_run(run);
    attributes.push(("stepwell.step", text(step.as_str())));
    if let Some(known) = &known {
        attributes.push(("stepwell.step.kind", text(&known.kind)));
    }
    let id = ids::of_step(run.id, step, story.failures);
    let status = match kind {
        StepEventKind::AttemptFailed { failure } | StepEventKind::Failed { failure } => Status::Error(message(failure)),
        StepEventKind::AttemptReleased { reason, .. } => Status::Error(cut(&format!("released: {reason}"))),
        StepEventKind::Canceled => Status::Error("canceled".to_owned()),
        StepEventKind::Skipped { .. } => Status::Unset,
        _ => Status::Ok,
    };
    let span = Span {
        trace: place.trace,
        id,
        parent: None,
        name: step.to_string(),
        start: story.started.unwrap_or(row.at).min(row.at),
        end: row.at,
        attributes,
        moments: Vec::new(),
        status,
    };
    let mut spans = Vec::new();
    if let Some((attempt, start)) = story.attempt {
        let mut attributes = span.attributes.clone();
        attributes.push(("stepwell.attempt", Value::Number(i64::from(attempt))));
        spans.push(Span {
            id: ids::of_attempt(run.id, step, attempt),
            parent: Some(id),
            name: format!("attempt {attempt} of {step}"),
            start: start.min(row.at),
            attributes,
            moments: story.moments,
            ..span.clone()
        });
    }
    let more = match kind {
        StepEventKind::AttemptFailed { .. } | StepEventKind::AttemptReleased { .. } => return spans,
        StepEventKind::Skipped { reason } => Some(("stepwell.skipped", text(reason))),
        StepEventKind::Reused { from, .. } => Some(("stepwell.reused_from", text(&from.to_string()))),
        _ => None,
    };
    let parent = match known.and_then(|known| known.parent) {
        Some(fan_out) => ids::of_step(run.id, &fan_out, whole.step(&fan_out).failures),
        None => ids::of_run(run.id, whole.ends),
    };
    let mut span = Span { parent: Some(parent), ..span };
    span.attributes.extend(more);
    spans.push(span);
    spans
}

/// The trace of a run, and the span of the step that started it.
fn place(
    reader: &Reader,
    stories: &mut Stories,
    run: &RunRow,
    before: i64,
) -> Result<([u8; 16], Option<[u8; 8]>), StoreError> {
    let parent = match &run.options.origin {
        Some(Origin::Child { run: parent, step }) => {
            let failures = stories.of(reader, *parent, before)?.step(step).failures;
            Some(ids::of_step(*parent, step, failures))
        }
        _ => None,
    };
    let (mut outermost, mut next) = (run.id, run.parent());
    for _ in 0..DEEPEST {
        let Some(above) = next else { break };
        outermost = above;
        next = reader.run(above)?.parent();
    }
    Ok((ids::trace(outermost), parent))
}

fn attributes_of_run(run: &RunRow) -> Attributes {
    vec![
        ("stepwell.run.id", text(&run.id.to_string())),
        ("stepwell.run.name", text(&run.name)),
        ("stepwell.workflow", text(&run.workflow)),
    ]
}

fn text(text: &str) -> Value {
    Value::Text(cut(text))
}

fn message(failure: &Failure) -> String {
    cut(&format!("{}: {}", failure.kind.as_str(), failure.headline()))
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
