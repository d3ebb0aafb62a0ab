//! `GET /batches/{batch}`

use askama::Template;
use axum::Extension;
use axum::extract::State;
use jiff::Timestamp;
use serde_json::Value;

use super::super::parts::{Badge, Frame, Here, Lasted, Shown, When, bytes, command, duration, show};
use super::first::{Bad, told};
use super::lines::{self, Good};
use super::list::file_name;
use super::pace::{self, Promise, promise};
use crate::desk::EngineView;
use crate::guard::Identity;
use crate::openai::{Situation, counts, find_batch, status};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::scope::Scope;
use stepwell_base::visible::visible_line;
use stepwell_store::{BatchCounts, Reader};

/// Bad lines of the input that are shown.
const MOST_BAD: usize = 20;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/batches/{batch}", Access::READ, one, Doc::new("page", "Shows a batch"))]
}

#[derive(Template)]
#[template(path = "batch.html")]
struct Batch {
    frame: Frame,
    id: String,
    name: String,
    state: Badge,
    /// Ids of the runs, whose events concern the view; empty before there is one.
    runs: String,
    run: Option<String>,
    endpoint: String,
    model: Option<String>,
    counts: BatchCounts,
    answered: u64,
    percent: u64,
    created: When,
    time: Lasted,
    speed: Option<String>,
    left: Option<String>,
    expires: When,
    promise: Promise,
    alerts: Vec<(String, String)>,
    usage: Option<(u64, u64)>,
    metadata: Vec<(String, String)>,
    failures: Vec<(String, u64)>,
    /// Why the whole batch failed.
    refused: Vec<Bad>,
    more_refused: usize,
    bad: Vec<Bad>,
    good: Vec<Good>,
    files: Vec<FileLink>,
    is_open: bool,
    may_cancel: bool,
    command: String,
}

/// A file to download.
struct FileLink {
    what: &'static str,
    href: String,
    name: String,
    size: String,
}

async fn one(
    State(app): State<AppState>,
    Extension(identity): Extension<Identity>,
    PathOf(id): PathOf<String>,
) -> Shown {
    let situation = app.read(move |reader| find_batch(reader, &id)).await?;
    let run = situation.run.as_ref().filter(|_| situation.batch.ending.is_none()).map(|run| run.id);
    let (engine, effort) =
        app.ask(move |desk| Ok::<_, Problem>((desk.engine(), run.map(|run| desk.effort(run)).transpose()?))).await?;
    let effort = effort.unwrap_or_default();
    let page = app.read(move |reader| page(reader, &situation, (&engine, &effort), &identity)).await?;
    show(&page)
}

fn page(
    reader: &Reader,
    situation: &Situation,
    (engine, effort): (&EngineView, &Value),
    identity: &Identity,
) -> Result<Batch, Problem> {
    let now = Timestamp::now();
    let Situation { batch, run, closing } = situation;
    let ending = batch.ending.as_ref();
    let counts = counts(reader, situation)?;
    let answered = counts.completed + counts.failed;
    let step = pace::step(reader, situation)?;
    let left = effort["estimated_seconds_left"].as_f64();
    let errors = ending.map(|ending| ending.errors.as_slice()).unwrap_or_default();
    let runs: Vec<String> = [run, closing].into_iter().flatten().map(|run| run.id.to_string()).collect();
    let output = ending.and_then(|ending| ending.output_file.as_deref());
    let error_file = ending.and_then(|ending| ending.error_file.as_deref());
    Ok(Batch {
        frame: Frame::live(Here::Batches, format!("/batches/{}", batch.id), engine),
        name: file_name(reader, batch)?,
        state: Badge::of_batch(status(situation)),
        run: run.as_ref().map(|run| run.id.to_string()),
        runs: runs.join(" "),
        endpoint: batch.endpoint.clone(),
        model: batch.checked.as_ref().map(|checked| visible_line(&checked.model).into_owned()),
        answered,
        percent: (100 * answered).checked_div(counts.total).unwrap_or(0),
        counts,
        created: When::new(batch.created_at),
        time: lasted(batch.created_at, ending.map(|ending| ending.at), now),
        speed: pace::speed(reader, situation, step.as_ref())?.map(|speed| format!("{speed:.0} tokens/s")),
        left: left.map(|left| format!("about {}", duration(left))),
        expires: When::new(batch.expires_at),
        promise: promise(batch.expires_at, ending.map(|ending| ending.at), left, now),
        alerts: alerts(effort),
        usage: ending.and_then(|ending| ending.usage).map(|usage| (usage.input_tokens, usage.output_tokens)),
        metadata: batch
            .metadata
            .iter()
            .map(|(name, text)| (visible_line(name).into_owned(), visible_line(text).into_owned()))
            .collect(),
        failures: pace::failures(step.as_ref()),
        refused: errors.iter().take(MOST_BAD).map(told).collect(),
        more_refused: errors.len().saturating_sub(MOST_BAD),
        bad: error_file.map(|file| lines::bad(reader, file)).transpose()?.unwrap_or_default(),
        good: output.map(|file| lines::good(reader, file)).transpose()?.unwrap_or_default(),
        files: [
            link(reader, "Answers", output)?,
            link(reader, "Errors", error_file)?,
            link(reader, "Input", Some(&batch.input_file))?,
        ]
        .into_iter()
        .flatten()
        .collect(),
        is_open: ending.is_none(),
        may_cancel: ending.is_none() && batch.cancelling_at.is_none() && identity.scope.allows(Scope::Run),
        command: run.as_ref().map(|run| command("watch", [&*run.id.to_string()])).unwrap_or_default(),
        id: batch.id.clone(),
    })
}

fn lasted(start: Timestamp, end: Option<Timestamp>, now: Timestamp) -> Lasted {
    let text = duration(end.unwrap_or(now).duration_since(start).as_secs_f64().max(0.0));
    Lasted { since: end.is_none().then(|| start.as_second()), text }
}

/// Alerts of the run: each with its time.
fn alerts(effort: &Value) -> Vec<(String, String)> {
    let alerts = effort["alerts"].as_array().into_iter().flatten();
    let text = |value: &Value| super::first::short(value.as_str().unwrap_or_default());
    alerts.map(|alert| (text(&alert["alert"]).replace('_', " "), text(&alert["message"]))).collect()
}

fn link(reader: &Reader, what: &'static str, file: Option<&str>) -> Result<Option<FileLink>, Problem> {
    let Some(file) = file.map(|id| reader.file(id)).transpose()?.flatten() else { return Ok(None) };
    let is_there = file.expires_at.is_none_or(|at| Timestamp::now() < at);
    Ok(is_there.then(|| FileLink {
        what,
        href: format!("/v1/files/{}/content", file.id),
        name: visible_line(&file.filename).into_owned(),
        size: bytes(file.artifact.size),
    }))
}
