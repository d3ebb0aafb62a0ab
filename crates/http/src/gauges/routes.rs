//! Numbers for monitoring. Both forms are the same snapshot.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::collect::{Machine, collect};
use super::family::{Family, snapshot_json};
use super::inference;
use super::text::{Exposition, expose};
use crate::api::forms::Anything;
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/metrics",
            Access::READ,
            text,
            Doc::new("machine", "Numbers for Prometheus, as its text or as OpenMetrics").streams("text/plain"),
        ),
        Route::get(
            "/api/v1/metrics.json",
            Access::READ,
            json,
            Doc::new("machine", "The same numbers as JSON").returns::<Anything>(),
        ),
    ]
}

async fn text(State(app): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let exposition = Exposition::accepted(accept);
    let text = expose(&snapshot(&app).await?, exposition);
    Ok(([(header::CONTENT_TYPE, exposition.media_type())], text).into_response())
}

async fn json(State(app): State<AppState>) -> Result<Json<Anything>, Problem> {
    Ok(Json(Anything(snapshot_json(&snapshot(&app).await?))))
}

async fn snapshot(app: &AppState) -> Result<Vec<Family>, Problem> {
    let (engine, load) = app.ask(|desk| Ok::<_, Problem>((desk.engine(), desk.inference_load()))).await?;
    let started_at = app.started_at().as_millisecond() as f64 / 1000.0;
    let machine = Machine { engine, started_at, listeners: app.feed().listeners() };
    let mut families = app
        .read(move |reader| {
            let mut families = collect(reader, &machine)?;
            families.extend(inference::families(&load, reader.open_batches()?.len()));
            Ok(families)
        })
        .await?;
    families.extend(app.traffic().families());
    Ok(families)
}
