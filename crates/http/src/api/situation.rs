//! Why a run is where it is, and what the machine has for it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::control::kept_run;
use super::forms::Anything;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/runs/{run}/explain",
            Access::READ,
            explain,
            Doc::new("runs", "Says why each step ran, was reused, or waits")
                .query::<ExplainQuery>()
                .returns::<Anything>(),
        ),
        Route::get(
            "/api/v1/runs/{run}/effort",
            Access::READ,
            effort,
            Doc::new("runs", "Tells the work used, the budget, and the time left").returns::<Anything>(),
        ),
        Route::get(
            "/api/v1/pools",
            Access::READ,
            pools,
            Doc::new("machine", "Lists slots, pools and rate limits, and what holds them").returns::<Anything>(),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// Only this step.
    step: Option<String>,
}

async fn explain(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    QueryOf(query): QueryOf<ExplainQuery>,
) -> Result<Json<Anything>, Problem> {
    let (run, step) = app
        .read(move |reader| {
            let run = kept_run(reader, &run)?;
            let step = query.step.map(|step| reader.resolve_step(run, &step)).transpose()?;
            Ok((run, step))
        })
        .await?;
    app.ask(move |desk| desk.explain(run, step.as_ref())).await.map(|value| Json(Anything(value)))
}

async fn effort(State(app): State<AppState>, PathOf(run): PathOf<String>) -> Result<Json<Anything>, Problem> {
    let run = app.read(move |reader| kept_run(reader, &run)).await?;
    app.ask(move |desk| desk.effort(run)).await.map(|value| Json(Anything(value)))
}

async fn pools(State(app): State<AppState>) -> Result<Json<Anything>, Problem> {
    app.ask(|desk| desk.pools()).await.map(|value| Json(Anything(value)))
}
