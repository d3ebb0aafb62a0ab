//! New runs: submitted, repeated, or forked.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::forms::RunForm;
use crate::desk::{Derived, DerivedFrom, Submit, Submitted, WorkflowText};
use crate::problem::Problem;
use crate::route::{Access, Body, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::names::{RunName, check_label};
use stepwell_base::remark::Tag;

pub fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/v1/runs",
            Access::RUN,
            submit,
            Doc::new("runs", "Submits a run").body::<SubmitBody>().returns::<SubmittedForm>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/rerun",
            Access::RUN,
            rerun,
            Doc::new("runs", "Submits a run that repeats this one from a step on")
                .body::<RerunBody>()
                .returns::<SubmittedForm>(),
        ),
        Route::post(
            "/api/v1/runs/{run}/fork",
            Access::RUN,
            fork,
            Doc::new("runs", "Submits a run that forks this one at a step, or at a checkpoint in it")
                .body::<ForkBody>()
                .returns::<SubmittedForm>(),
        ),
    ]
}

/// A run to submit: `workflow` or `text`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitBody {
    /// Name of a workflow of the server.
    workflow: Option<String>,
    /// Text of a workflow file. Relative paths in it start at the working directory of the server.
    text: Option<String>,
    /// Parameters that differ from the defaults of the workflow; `a.b` reaches into tables.
    #[serde(default)]
    params: Map<String, Value>,
    /// Name of the run; without it, the name of the workflow and a number.
    name: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// Ready steps of runs with a higher priority start first.
    #[serde(default)]
    priority: i32,
    /// The same key again answers with the same run. The header `Idempotency-Key` does the same.
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RerunBody {
    /// The first step to run again.
    from_step: String,
    /// Parameters that differ from those of the earlier run.
    #[serde(default)]
    params: Map<String, Value>,
    name: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkBody {
    /// The step to branch off at.
    step: String,
    /// Training step of a checkpoint in it; without it, the whole step runs again.
    train_step: Option<u64>,
    /// Parameters that differ from those of the earlier run.
    #[serde(default)]
    params: Map<String, Value>,
    name: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// A run that is durable.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubmittedForm {
    run: RunForm,
    /// False if the idempotency key was known; the run is the earlier one then.
    new: bool,
}

async fn submit(
    State(app): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<SubmitBody>,
) -> Result<Json<SubmittedForm>, Problem> {
    let new = Submit {
        workflow: workflow_text("a run", body.workflow, body.text)?,
        params: body.params,
        name: body.name.as_deref().map(run_name).transpose()?,
        tags: tags(&body.tags)?,
        priority: body.priority,
        idempotency_key: idempotency_key(&headers, body.idempotency_key)?,
    };
    let submitted = app.ask(move |desk| desk.submit(new)).await?;
    answer(&app, submitted).await
}

async fn rerun(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<RerunBody>,
) -> Result<Json<SubmittedForm>, Problem> {
    let labels = (body.name.as_deref().map(run_name).transpose()?, tags(&body.tags)?);
    derive(app, run, DerivedFrom::Rerun { step: body.from_step }, body.params, labels).await
}

async fn fork(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<ForkBody>,
) -> Result<Json<SubmittedForm>, Problem> {
    let labels = (body.name.as_deref().map(run_name).transpose()?, tags(&body.tags)?);
    let from = DerivedFrom::Fork { step: body.step, train_step: body.train_step };
    derive(app, run, from, body.params, labels).await
}

async fn derive(
    app: AppState,
    run: String,
    from: DerivedFrom,
    params: Map<String, Value>,
    (name, tags): (Option<RunName>, BTreeSet<Tag>),
) -> Result<Json<SubmittedForm>, Problem> {
    let run = app.read(move |reader| Ok(reader.resolve_run(&run)?)).await?;
    let submitted = app.ask(move |desk| desk.derive(Derived { run, from, params, name, tags })).await?;
    answer(&app, submitted).await
}

async fn answer(app: &AppState, Submitted { run, new }: Submitted) -> Result<Json<SubmittedForm>, Problem> {
    app.read(move |reader| {
        let run = RunForm::new(&reader.run(run)?, &reader.annotation(run)?)?;
        Ok(Json(SubmittedForm { run, new }))
    })
    .await
}

/// # Errors
/// When `what` has both a name and a text, or neither.
pub fn workflow_text(what: &str, name: Option<String>, text: Option<String>) -> Result<WorkflowText, Problem> {
    match (name, text) {
        (Some(name), None) => Ok(WorkflowText::Named(name)),
        (None, Some(text)) => Ok(WorkflowText::Text(text)),
        _ => Err(Problem::usage(format!("{what} needs `workflow` or `text`, and not both"))),
    }
}

fn run_name(text: &str) -> Result<RunName, Problem> {
    text.parse().map_err(|error| Problem::usage(format!("the run cannot be named so: {error}")))
}

pub fn tags(texts: &[String]) -> Result<BTreeSet<Tag>, Problem> {
    let tags = texts.iter().map(|text| text.parse().map_err(|error| Problem::usage(format!("`tags`: {error}"))));
    tags.collect()
}

fn idempotency_key(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, Problem> {
    let header = headers.get("idempotency-key").map(|value| value.to_str().map(str::to_owned));
    let header = header.transpose().map_err(|_| Problem::usage("the header `Idempotency-Key` is no plain text"))?;
    let key = match (header, in_body) {
        (Some(header), Some(body)) if header != body => {
            return Err(Problem::usage("`idempotency_key` and the header `Idempotency-Key` differ"));
        }
        (header, body) => header.or(body),
    };
    if let Some(key) = &key {
        check_label(key).map_err(|error| Problem::usage(format!("the idempotency key: {error}")))?;
    }
    Ok(key)
}
