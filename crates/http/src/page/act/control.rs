//! `POST /runs/{run}/pause`, `resume`, `retry` and `cancel`.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::super::parts::{Goes, Shown, cut, done};
use crate::desk::Ask;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::visible::visible_line;
use stepwell_run::request::Request;

/// Characters of a step in a notice.
const LONGEST_ID: usize = 120;

pub fn routes() -> Vec<Route> {
    let doc = |summary| Doc::new("page", summary);
    vec![
        Route::post("/runs/{run}/pause", Access::RUN, pause, doc("Pauses a run")),
        Route::post("/runs/{run}/resume", Access::RUN, resume, doc("Resumes a run")),
        Route::post("/runs/{run}/retry", Access::RUN, retry, doc("Retries what failed")),
        Route::post("/runs/{run}/cancel", Access::RUN, cancel, doc("Cancels a run")),
    ]
}

async fn pause(State(app): State<AppState>, PathOf(run): PathOf<RunId>, headers: HeaderMap) -> Shown {
    let request = Request::Pause { reason: "asked for on the page".to_owned() };
    answer(&app, run, Ask::Request(request), &headers, "Paused. Its attempts write a checkpoint and stop.").await
}

async fn resume(State(app): State<AppState>, PathOf(run): PathOf<RunId>, headers: HeaderMap) -> Shown {
    answer(&app, run, Ask::Request(Request::Resume), &headers, "Resumed.").await
}

#[derive(Deserialize, Default)]
struct Retry {
    /// Only this step; without it, all that failed.
    step: Option<String>,
}

async fn retry(
    State(app): State<AppState>,
    PathOf(run): PathOf<RunId>,
    headers: HeaderMap,
    Form(Retry { step }): Form<Retry>,
) -> Shown {
    let told = match &step {
        Some(step) => format!("{} is tried again.", cut(&visible_line(step), LONGEST_ID)),
        None => "What failed is tried again.".to_owned(),
    };
    let step = step.map(|step| StepId::from(step.as_str()));
    answer(&app, run, Ask::Request(Request::Retry { step }), &headers, &told).await
}

async fn cancel(State(app): State<AppState>, PathOf(run): PathOf<RunId>, headers: HeaderMap) -> Shown {
    answer(&app, run, Ask::Cancel, &headers, "Canceled.").await
}

async fn answer(app: &AppState, run: RunId, ask: Ask, headers: &HeaderMap, told: &str) -> Shown {
    let asked: Result<(), Problem> = app.ask(move |desk| desk.ask(run, ask)).await;
    done(headers, asked.map(|()| told.to_owned()), &format!("/runs/{run}"), Goes::Stays)
}
