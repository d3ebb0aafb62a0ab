//! The log of an attempt, as a file or as a stream.

use std::convert::Infallible;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
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

use super::file::{send, wanted};
use crate::api::control::step_of;
use crate::api::events::stream_headers;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_artifact::open_regular;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, attempt_log};

/// Largest piece of a log in one event.
const PIECE: usize = 64 << 10;
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
    /// Stays open, because a shorter file may replace it when the attempt ends; `None` until it exists.
    file: Option<Arc<File>>,
    offset: u64,
    /// Looks without news.
    quiet: u32,
    /// The attempt has ended: what is left is the rest.
    last: bool,
    ended: bool,
}

fn frames(app: AppState, attempt: Attempt, offset: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let follower = Follower { app, attempt, file: None, offset, quiet: 0, last: false, ended: false };
    stream::unfold(follower, |mut follower| async move { follower.next().await.map(|frame| (Ok(frame), follower)) })
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ended {
                return None;
            }
            let (attempt, file, offset, last) = (self.attempt.clone(), self.file.take(), self.offset, self.last);
            let piece = self.app.read(move |_| {
                let file = match file {
                    Some(file) => Some(file),
                    None => open(&attempt)?.map(Arc::new),
                };
                let piece = file.as_ref().map(|file| read(file, offset, last)).transpose()?.flatten();
                Ok((file, piece))
            });
            let piece = piece.await.map(|(file, piece)| {
                self.file = file;
                piece
            });
            match piece {
                Ok(Some(piece)) => {
                    let frame = piece.frame(self.offset);
                    self.offset += piece.length;
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

/// A part of a log: text, or the bytes of a gap that the limit of logs has cut out.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Piece {
    text: Option<String>,
    length: u64,
}

impl Piece {
    fn frame(&self, offset: u64) -> Bytes {
        let next = offset + self.length;
        let data = match &self.text {
            Some(text) => json!({ "offset": offset, "text": text }),
            None => json!({ "offset": offset, "dropped": self.length }),
        };
        Bytes::from(format!("id: {next}\ndata: {data}\n\n"))
    }
}

/// The next piece of a log. A character that is not complete yet is left for later, unless nothing more comes.
fn read(file: &File, offset: u64, is_last: bool) -> Result<Option<Piece>, Problem> {
    let mut bytes = vec![0; PIECE];
    let length = file.read_at(&mut bytes, offset).map_err(|error| Problem::internal("reading the log", &error))?;
    Ok(piece(&bytes[..length], is_last))
}

fn piece(bytes: &[u8], is_last: bool) -> Option<Piece> {
    let gap = bytes.iter().take_while(|byte| **byte == 0).count();
    if gap > 0 {
        return Some(Piece { text: None, length: gap as u64 });
    }
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let complete = match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() && text.len() == bytes.len() && !is_last => error.valid_up_to(),
        _ => text.len(),
    };
    let text = String::from_utf8_lossy(&text[..complete]).into_owned();
    (complete > 0).then_some(Piece { text: Some(text), length: complete as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], is_last: bool) -> Option<(Option<String>, u64)> {
        piece(bytes, is_last).map(|piece| (piece.text, piece.length))
    }

    #[test]
    fn a_character_is_sent_whole_and_a_gap_is_counted() {
        let half = &"ä".as_bytes()[..1];
        assert_eq!(text(b"", false), None);
        assert_eq!(text("nä".as_bytes(), false), Some((Some("nä".to_owned()), 3)));
        assert_eq!(text(&[b"n", half].concat(), false), Some((Some("n".to_owned()), 1)));
        assert_eq!(text(half, false), None);
        assert_eq!(text(half, true), Some((Some("\u{fffd}".to_owned()), 1)));
        assert_eq!(text(b"\0\0\0a", false), Some((None, 3)));
        assert_eq!(text(b"a\0\0", false), Some((Some("a".to_owned()), 1)));
        assert_eq!(text(b"\xffa", false), Some((Some("\u{fffd}a".to_owned()), 2)));
    }
}
