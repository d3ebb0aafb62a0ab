//! What an attempt printed: a file, or the stream of what it prints from now on.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::control::step_of;
use super::events::stream_headers;
use super::file::{send, wanted};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_artifact::open_regular;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, attempt_log};

/// Largest piece of a log in one event.
const PIECE: u64 = 64 << 10;
/// Time between two looks at a log that is followed.
const INTERVAL: Duration = Duration::from_millis(250);
/// Looks without news after which the attempt is asked about, and a comment keeps the stream open.
const QUIET: u32 = 4;
const HEARTBEAT: u32 = 60;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/runs/{run}/steps/{step}/attempts/{attempt}/log",
            Access::READ,
            log,
            Doc::new("logs", "Sends what an attempt printed, or a range of it").streams("text/plain"),
        ),
        Route::get(
            "/api/v1/runs/{run}/steps/{step}/attempts/{attempt}/log/follow",
            Access::READ,
            follow,
            Doc::new("logs", "Streams what an attempt prints, as server-sent events whose ids are offsets")
                .query::<FollowQuery>()
                .streams("text/event-stream"),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FollowQuery {
    /// Byte to start at; the header `Last-Event-ID` goes first. A negative number counts from the end.
    #[serde(default)]
    from: i64,
}

/// An attempt that exists, and the file of its log.
#[derive(Clone, Debug)]
struct Attempt {
    run: RunId,
    step: StepId,
    number: u32,
    path: PathBuf,
}

impl Attempt {
    /// The step is looked up first, so the path is made of an id that a run has.
    fn find(reader: &Reader, (run, step, number): &(String, String, u32)) -> Result<Attempt, Problem> {
        let (run, step) = step_of(reader, run, step)?;
        if !(1..=reader.step(run, &step)?.attempts).contains(number) {
            return Err(Problem::not_found(format!("step `{step}` has no attempt {number}")));
        }
        let path = attempt_log(reader.state_dir(), run, &step, *number);
        Ok(Attempt { run, step, number: *number, path })
    }

    /// True if this attempt prints nothing more.
    fn has_ended(&self, reader: &Reader) -> Result<bool, Problem> {
        let step = reader.step(self.run, &self.step)?;
        Ok(step.attempts != self.number || step.status != StepStatus::Running)
    }
}

async fn log(
    State(app): State<AppState>,
    PathOf(named): PathOf<(String, String, u32)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (file, size) = app
        .read(move |reader| {
            let attempt = Attempt::find(reader, &named)?;
            // An attempt that has printed nothing may have no file.
            let Some(file) = open(&attempt)? else { return Ok((None, 0)) };
            let size = file.metadata().map_err(|error| Problem::internal("reading the log", &error))?.len();
            Ok((Some(file), size))
        })
        .await?;
    let headers_of_answer = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    match file {
        Some(file) => send(file, size, wanted(&headers, size), headers_of_answer),
        None => Ok((headers_of_answer, "").into_response()),
    }
}

async fn follow(
    State(app): State<AppState>,
    PathOf(named): PathOf<(String, String, u32)>,
    QueryOf(query): QueryOf<FollowQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.trim().parse::<i64>().ok());
    let (attempt, offset) = app
        .read(move |reader| {
            let attempt = Attempt::find(reader, &named)?;
            let size = open(&attempt)?.and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
            let from = last.unwrap_or(query.from);
            let offset = match u64::try_from(from) {
                Ok(from) => from.min(size),
                Err(_) => size.saturating_sub(from.unsigned_abs()),
            };
            Ok((attempt, offset))
        })
        .await?;
    Ok((stream_headers(), Body::from_stream(frames(app, attempt, offset))).into_response())
}

struct Follower {
    app: AppState,
    attempt: Attempt,
    offset: u64,
    /// Looks without news.
    quiet: u32,
    /// The attempt has ended: what is left is the rest.
    last: bool,
    ended: bool,
}

fn frames(app: AppState, attempt: Attempt, offset: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let follower = Follower { app, attempt, offset, quiet: 0, last: false, ended: false };
    stream::unfold(follower, |mut follower| async move { follower.next().await.map(|frame| (Ok(frame), follower)) })
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ended {
                return None;
            }
            let (attempt, offset, last) = (self.attempt.clone(), self.offset, self.last);
            let piece = self.app.read(move |_| read(&attempt, offset, last)).await;
            match piece {
                Ok(Some((text, length))) => {
                    let frame = frame(self.offset, &text, self.offset + length);
                    self.offset += length;
                    self.quiet = 0;
                    return Some(frame);
                }
                Ok(None) if self.last => {
                    self.ended = true;
                    return Some(Bytes::from(format!("id: {}\nevent: end\ndata: {{}}\n\n", self.offset)));
                }
                Ok(None) => {
                    self.quiet += 1;
                    if self.quiet.is_multiple_of(QUIET) {
                        let attempt = self.attempt.clone();
                        self.last = self.app.read(move |reader| attempt.has_ended(reader)).await.unwrap_or(false);
                    }
                    if self.quiet.is_multiple_of(HEARTBEAT) {
                        return Some(Bytes::from_static(b": still here\n\n"));
                    }
                    if !self.last {
                        tokio::time::sleep(INTERVAL).await;
                    }
                }
                // The client comes back and asks again from its offset.
                Err(_) => return None,
            }
        }
    }
}

fn open(attempt: &Attempt) -> Result<Option<File>, Problem> {
    if !attempt.path.exists() {
        return Ok(None);
    }
    open_regular(&attempt.path).map(Some).map_err(|error| Problem::internal("reading the log", &error))
}

/// The next piece of a log and its length in bytes. A character that is not complete yet is left for later, unless nothing
/// more comes.
fn read(attempt: &Attempt, offset: u64, is_last: bool) -> Result<Option<(String, u64)>, Problem> {
    let failed = |error| Problem::internal("reading the log", &error);
    let Some(mut file) = open(attempt)? else { return Ok(None) };
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes).map_err(failed)?;
    let complete = match std::str::from_utf8(&bytes) {
        Err(error) if error.error_len().is_none() && !is_last => error.valid_up_to(),
        _ => bytes.len(),
    };
    bytes.truncate(complete);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((complete > 0).then_some((text, complete as u64)))
}

fn frame(offset: u64, text: &str, next: u64) -> Bytes {
    Bytes::from(format!("id: {next}\ndata: {}\n\n", json!({ "offset": offset, "text": text })))
}
