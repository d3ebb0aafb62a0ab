//! Actions on a run that exists. Each answers with the run as it is afterwards.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::forms::RunForm;
use crate::desk::Ask;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::route::{Access, Body, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::duration;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::check_label;
use stepwell_run::event::Verdict;
use stepwell_run::request::Request;
use stepwell_store::{Reader, StoreError};
use stepwell_workflow::budget::Budget;

/// Longest reason or comment, in bytes.
const LONGEST: usize = 4096;

pub fn routes() -> Vec<Route> {
    let doc = |summary| Doc::new("control", summary).returns::<RunForm>();
    vec![
        Route::post(
            "/api/v1/runs/{run}/cancel",
            Access::RUN,
            cancel,
            doc("Ends a run for good, with all its processes").body::<NoBody>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/pause",
            Access::RUN,
            pause,
            doc("Lets the attempts of a run write a checkpoint and stop").body::<PauseBody>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/resume",
            Access::RUN,
            resume,
            doc("Continues a paused, interrupted or failed run").body::<ResumeBody>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/retry",
            Access::RUN,
            retry,
            doc("Tries failed steps again").body::<RetryBody>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/steps/{step}/retry",
            Access::RUN,
            retry_step,
            doc("Tries one failed step again; of a fan-out, its failed items").body::<NoBody>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/approve",
            Access::RUN,
            approve,
            doc("Answers a step that waits for a person").body::<ApproveBody>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/signal",
            Access::RUN,
            signal,
            doc("Sends a signal to a step that waits for it, now or later").body::<SignalBody>(),
        ),
    ]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoBody {}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// Shown with the run.
    reason: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeBody {
    /// Raises the compute budget to this, such as `20h`.
    maximum_compute: Option<String>,
    /// Raises the cost budget to this.
    maximum_cost: Option<f64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryBody {
    /// Only this step; without it, all failed steps.
    step: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// The step that waits.
    step: String,
    /// Rejects: the step fails.
    #[serde(default)]
    reject: bool,
    /// Kept with the decision.
    comment: Option<String>,
    /// Name of the person who decides; without it, the name of the token.
    by: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalBody {
    name: String,
    /// Becomes `values.payload` of the waiting step.
    #[serde(default)]
    payload: Value,
}

async fn cancel(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(NoBody {}): Body<NoBody>,
) -> Result<Json<RunForm>, Problem> {
    let run = app.read(move |reader| kept_run(reader, &run)).await?;
    ask(app, run, Ask::Cancel).await
}

async fn pause(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<PauseBody>,
) -> Result<Json<RunForm>, Problem> {
    let reason = bounded("reason", body.reason.unwrap_or_else(|| "asked for".to_owned()))?;
    let run = app.read(move |reader| kept_run(reader, &run)).await?;
    ask(app, run, Ask::Request(Request::Pause { reason })).await
}

async fn resume(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<ResumeBody>,
) -> Result<Json<RunForm>, Problem> {
    let time = |text: String| {
        duration::parse(&text).ok_or_else(|| Problem::usage("`maximum_compute` is not a duration such as `20h`"))
    };
    let budget = Budget {
        maximum_compute: body.maximum_compute.map(time).transpose()?,
        maximum_cost: body.maximum_cost,
        cost_per_hour: None,
    };
    let run = app.read(move |reader| kept_run(reader, &run)).await?;
    ask(app, run, Ask::Resume { budget }).await
}

async fn retry(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<RetryBody>,
) -> Result<Json<RunForm>, Problem> {
    let (run, step) = app
        .read(move |reader| {
            let run = kept_run(reader, &run)?;
            let step = body.step.map(|step| reader.resolve_step(run, &step)).transpose()?;
            Ok((run, step))
        })
        .await?;
    ask(app, run, Ask::Request(Request::Retry { step })).await
}

async fn retry_step(
    State(app): State<AppState>,
    PathOf((run, step)): PathOf<(String, String)>,
    Body(NoBody {}): Body<NoBody>,
) -> Result<Json<RunForm>, Problem> {
    let (run, step) = app.read(move |reader| step_of(reader, &run, &step)).await?;
    ask(app, run, Ask::Request(Request::Retry { step: Some(step) })).await
}

async fn approve(
    State(app): State<AppState>,
    Extension(identity): Extension<Identity>,
    PathOf(run): PathOf<String>,
    Body(body): Body<ApproveBody>,
) -> Result<Json<RunForm>, Problem> {
    let verdict = if body.reject { Verdict::Rejected } else { Verdict::Approved };
    let approver = bounded("by", body.by.unwrap_or(identity.name))?;
    let comment = body.comment.map(|comment| bounded("comment", comment)).transpose()?;
    let (run, step) = app.read(move |reader| step_of(reader, &run, &body.step)).await?;
    ask(app, run, Ask::Request(Request::Decide { step, verdict, approver, comment })).await
}

async fn signal(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<SignalBody>,
) -> Result<Json<RunForm>, Problem> {
    check_label(&body.name).map_err(|error| Problem::usage(format!("`name`: {error}")))?;
    let run = app.read(move |reader| kept_run(reader, &run)).await?;
    ask(app, run, Ask::Request(Request::Signal { name: body.name, payload: body.payload })).await
}

async fn ask(app: AppState, run: RunId, ask: Ask) -> Result<Json<RunForm>, Problem> {
    app.ask(move |desk| desk.ask(run, ask)).await?;
    app.read(move |reader| Ok(Json(RunForm::new(&reader.run(run)?, &reader.annotation(run)?)?))).await
}

/// The run that `text` names, unless it was pruned.
pub fn kept_run(reader: &Reader, text: &str) -> Result<RunId, Problem> {
    let run = reader.resolve_run(text)?;
    match reader.run(run)?.pruned_at {
        Some(at) => Err(StoreError::Pruned { run, at }.into()),
        None => Ok(run),
    }
}

pub fn step_of(reader: &Reader, run: &str, step: &str) -> Result<(RunId, StepId), Problem> {
    let run = kept_run(reader, run)?;
    Ok((run, reader.resolve_step(run, step)?))
}

fn bounded(name: &str, text: String) -> Result<String, Problem> {
    match text.len() {
        length if length <= LONGEST => Ok(text),
        length => Err(Problem::usage(format!("`{name}` has at most {LONGEST} bytes, this one has {length}"))),
    }
}
