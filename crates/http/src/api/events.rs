//! `GET /api/v1/events`: a page of events, or the stream of those that follow.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::forms::EventForm;
use super::stream::{Quiet, Start, frames};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use crate::state::AppState;
use stepwell_base::ids::RunId;

const MOST: u32 = 1000;
const USUAL: u32 = 200;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/events",
            Access::READ,
            events,
            Doc::new("events", "Streams events as they happen, as server-sent events")
                .query::<StreamQuery>()
                .streams("text/event-stream"),
        ),
        Route::get(
            "/api/v1/history",
            Access::READ,
            history,
            Doc::new("events", "Lists events, oldest first").query::<HistoryQuery>().returns::<EventPage>(),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// Only events of this run.
    run: Option<String>,
    /// Number of the last event that the client knows; the header `Last-Event-ID` goes first. Without both, the stream
    /// starts with the next event.
    after: Option<i64>,
    /// Adds frames `event: progress`, without an id, when metrics or progress may have grown, which have no events.
    #[serde(default)]
    progress: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only events of this run.
    run: Option<String>,
    /// Events after this number.
    #[serde(default)]
    after: i64,
    /// Most events to list: 200, at most 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    events: Vec<EventForm>,
    /// `after` of the next page; null if nothing follows now.
    next: Option<i64>,
}

async fn history(
    State(app): State<AppState>,
    QueryOf(query): QueryOf<HistoryQuery>,
) -> Result<Json<EventPage>, Problem> {
    let limit = super::runs::limit(query.limit, USUAL, MOST)?;
    app.read(move |reader| {
        let run = query.run.map(|run| reader.resolve_run(&run)).transpose()?;
        let rows = reader.events_page(run, query.after, limit)?;
        let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.seq);
        let events: Result<Vec<EventForm>, Problem> = rows.iter().map(EventForm::new).collect();
        Ok(Json(EventPage { events: events?, next }))
    })
    .await
}

async fn events(
    State(app): State<AppState>,
    QueryOf(query): QueryOf<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let given = headers.get("last-event-id").map(|value| value.to_str().ok().and_then(|text| text.trim().parse().ok()));
    let (run, newest) = app
        .read(move |reader| {
            let run: Option<RunId> = query.run.map(|run| reader.resolve_run(&run)).transpose()?;
            Ok((run, reader.newest_event()?))
        })
        .await?;
    let start = match given.unwrap_or(query.after.or(Some(newest))) {
        Some(after) if (0..=newest).contains(&after) => Start::After(after),
        // The log of another state directory, or no number.
        _ => Start::Reset(newest),
    };
    let quiet = if query.progress { Quiet::Told } else { Quiet::Untold };
    let body = Body::from_stream(frames(app, run, start, quiet));
    Ok((stream_headers(), body).into_response())
}

/// Headers of a stream that no cache and no proxy may hold back.
pub fn stream_headers() -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ]
}

/// For streams, which end without an error of their own.
pub type Frame = Result<bytes::Bytes, Infallible>;
