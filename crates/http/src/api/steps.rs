//! Steps of a run, in pages, and one step with its attempts.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::control::step_of;
use super::forms::{ArtifactForm, json};
use super::runs::limit;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_run::provenance::AttemptRecord;
use stepwell_store::{StepCounts, StepFilter, StepPlace, StepRow};

const MOST: u32 = 500;
const USUAL: u32 = 100;
/// Longest text to search for, in bytes.
const LONGEST: usize = 200;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/runs/{run}/steps",
            Access::READ,
            list,
            Doc::new("steps", "Lists the steps of a run: failed ones, those at work, then the others in their order")
                .query::<StepQuery>()
                .returns::<StepPage>(),
        ),
        Route::get(
            "/api/v1/runs/{run}/steps/{step}",
            Access::READ,
            show,
            Doc::new("steps", "Shows a step with its arguments, outputs and attempts").returns::<StepDetail>(),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StepQuery {
    /// Only steps of this status.
    status: Option<String>,
    /// Part of an id or of the text of an item.
    q: Option<String>,
    /// Most steps to list: 100, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepPage {
    steps: Vec<StepForm>,
    counts: CountsForm,
    /// Steps that the query chooses.
    total: u64,
    /// Cursor of the next page; null on the last one.
    next: Option<String>,
}

/// All steps of the run in numbers; a fan-out counts as a step, and so does every item.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsForm {
    total: u64,
    failed: u64,
    running: u64,
    waiting: u64,
    done: u64,
}

/// A step, as in lists.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepForm {
    id: String,
    /// The fan-out that this is an item of.
    parent: Option<String>,
    item: Option<Value>,
    kind: String,
    needs: Vec<String>,
    /// `pending`, `ready`, `running`, `waiting`, `expanded`, `succeeded`, `failed`, `skipped` or `canceled`.
    status: &'static str,
    attempts: u32,
    /// Why the newest attempt failed.
    failure: Option<Value>,
    /// The approval, signal or run that the step waits for: `{"for":"approval"|"signal"|"run",...}`.
    wait: Option<Value>,
    skip_reason: Option<String>,
    reused_from: Option<String>,
    /// Items of a fan-out: `{"total","done","failed"}`.
    children: Option<ChildrenForm>,
    progress: Option<ProgressForm>,
    /// Training step of the newest checkpoint.
    last_step: Option<u64>,
    loss: Option<f64>,
    /// Work of all ended attempts.
    compute_seconds: f64,
    started_at: Option<String>,
    finished_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ChildrenForm {
    total: u64,
    done: u64,
    failed: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressForm {
    done: u64,
    total: u64,
    at: String,
}

/// A step with everything about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepDetail {
    step: StepForm,
    /// Resolved arguments of the newest attempt.
    with: Option<Value>,
    values: Map<String, Value>,
    outputs: Vec<OutputForm>,
    key: Option<String>,
    attempts: Vec<AttemptForm>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OutputForm {
    name: String,
    artifact: ArtifactForm,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptForm {
    attempt: u32,
    status: String,
    started_at: String,
    finished_at: Option<String>,
    reason: Option<String>,
    /// Digest of the build and the machine.
    environment: Option<String>,
}

async fn list(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    QueryOf(query): QueryOf<StepQuery>,
) -> Result<Json<StepPage>, Problem> {
    let limit = limit(query.limit, USUAL, MOST)?;
    let status = query.status.map(|status| status.parse());
    let status = status.transpose().map_err(|_| Problem::usage("`status` is no status of steps"))?;
    if query.q.as_ref().is_some_and(|text| text.len() > LONGEST) {
        return Err(Problem::usage(format!("a text to search for has at most {LONGEST} bytes")));
    }
    let after = query.cursor.map(|cursor| cursor.parse::<StepPlace>());
    let after = after.transpose().map_err(|why| Problem::usage(format!("`cursor`: {why}")))?;
    let filter = StepFilter { status, text: query.q };
    app.read(move |reader| {
        let run = reader.resolve_run(&run)?;
        let page = reader.step_page(run, &filter, after, limit as usize)?;
        let counts = reader.step_counts(run)?;
        let total = if filter == StepFilter::default() { counts.total } else { reader.count_steps(run, &filter)? };
        let steps: Result<Vec<StepForm>, Problem> = page.steps.iter().map(StepForm::new).collect();
        let next = page.next.map(|place| place.to_string());
        Ok(Json(StepPage { steps: steps?, counts: counts.into(), total, next }))
    })
    .await
}

async fn show(
    State(app): State<AppState>,
    PathOf((run, step)): PathOf<(String, String)>,
) -> Result<Json<StepDetail>, Problem> {
    app.read(move |reader| {
        let (run, id) = step_of(reader, &run, &step)?;
        let row = reader.step(run, &id)?;
        let produced = row.outputs.clone().unwrap_or_default();
        let outputs = produced
            .artifacts
            .iter()
            .map(|(name, artifact)| OutputForm { name: name.clone(), artifact: artifact.into() });
        Ok(Json(StepDetail {
            step: StepForm::new(&row)?,
            with: row.with.clone(),
            outputs: outputs.collect(),
            values: produced.values,
            key: row.key.as_ref().map(ToString::to_string),
            attempts: reader.attempts(run, &id)?.into_iter().map(AttemptForm::from).collect(),
        }))
    })
    .await
}

impl StepForm {
    fn new(row: &StepRow) -> Result<StepForm, Problem> {
        let progress = row.progress.as_ref().map(|mark| ProgressForm {
            done: mark.done,
            total: mark.total,
            at: mark.at.to_string(),
        });
        let children = row.children.map(|children| ChildrenForm {
            total: children.total,
            done: children.done,
            failed: children.failed,
        });
        Ok(StepForm {
            id: row.id.to_string(),
            parent: row.parent.as_ref().map(ToString::to_string),
            item: row.item.clone(),
            kind: row.kind.clone(),
            needs: row.needs.iter().map(ToString::to_string).collect(),
            status: row.status.as_str(),
            attempts: row.attempts,
            failure: row.failure.as_ref().map(json).transpose()?,
            wait: row.wait.as_ref().map(json).transpose()?,
            skip_reason: row.skip_reason.clone(),
            reused_from: row.reused_from.map(|run| run.to_string()),
            children,
            progress,
            last_step: row.last_step,
            loss: row.loss,
            compute_seconds: row.compute_ms as f64 / 1000.0,
            started_at: row.started_at.map(|at| at.to_string()),
            finished_at: row.finished_at.map(|at| at.to_string()),
        })
    }
}

impl From<StepCounts> for CountsForm {
    fn from(StepCounts { total, failed, running, waiting, done, .. }: StepCounts) -> CountsForm {
        CountsForm { total, failed, running, waiting, done }
    }
}

impl From<AttemptRecord> for AttemptForm {
    fn from(record: AttemptRecord) -> AttemptForm {
        let AttemptRecord { attempt, status, started_at, finished_at, reason, environment } = record;
        AttemptForm { attempt, status, started_at, finished_at, reason, environment }
    }
}
