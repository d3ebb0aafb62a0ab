//! `GET /api/v1/runs`, and one run.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::forms::RunForm;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;
use stepwell_run::status::RunStatus;
use stepwell_store::{Family, Reader, RunFilter, RunRow};

const MOST: u32 = 200;
const USUAL: u32 = 50;
/// Longest text to search for, in bytes.
const LONGEST: usize = 200;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/runs",
            Access::READ,
            list,
            Doc::new("runs", "Lists runs, newest first").query::<RunQuery>().returns::<RunPage>(),
        ),
        Route::get("/api/v1/runs/{run}", Access::READ, show, Doc::new("runs", "Shows a run").returns::<RunForm>()),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Statuses, separated by commas, such as `running,failed`.
    status: Option<String>,
    workflow: Option<String>,
    tag: Option<String>,
    /// Part of a name or workflow, or the start of an id.
    q: Option<String>,
    /// `none` for runs that no step started (the default), `any`, or the id of a run for those that its steps started.
    parent: Option<String>,
    /// Most runs to list: 50, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunPage {
    pub runs: Vec<RunForm>,
    /// Rows that this build cannot read: `{"id","name","why"}`.
    pub unreadable: Vec<UnreadableForm>,
    /// Cursor of the next page; null on the last one.
    pub next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadableForm {
    id: String,
    name: String,
    why: String,
}

async fn list(State(app): State<AppState>, QueryOf(query): QueryOf<RunQuery>) -> Result<Json<RunPage>, Problem> {
    let limit = limit(query.limit, USUAL, MOST)?;
    let before = query.cursor.as_deref().map(|cursor| run_id("cursor", cursor)).transpose()?;
    let filter = filter(query)?;
    app.read(move |reader| {
        // One more than asked for tells if there is a next page.
        let mut found = reader.run_page(&filter, before, limit as usize + 1)?;
        let is_full = found.readable.len() + found.unreadable.len() > limit as usize;
        found.readable.truncate(limit as usize);
        let next = found.readable.last().filter(|_| is_full).map(|run| run.id.to_string());
        let runs = forms(reader, &found.readable)?;
        let unreadable =
            found.unreadable.into_iter().map(|run| UnreadableForm { id: run.id, name: run.name, why: run.why });
        Ok(Json(RunPage { runs, unreadable: unreadable.collect(), next }))
    })
    .await
}

async fn show(State(app): State<AppState>, PathOf(run): PathOf<String>) -> Result<Json<RunForm>, Problem> {
    app.read(move |reader| {
        let run = reader.run(reader.resolve_run(&run)?)?;
        Ok(Json(RunForm::new(&run, &reader.annotation(run.id)?)?))
    })
    .await
}

fn filter(query: RunQuery) -> Result<RunFilter, Problem> {
    let statuses = query.status.as_deref().unwrap_or_default().split(',').filter(|word| !word.is_empty());
    let statuses: Result<Vec<RunStatus>, Problem> = statuses
        .map(|word| word.parse().map_err(|_| Problem::usage(format!("`{word}` is no status of runs"))))
        .collect();
    for text in [&query.workflow, &query.q].into_iter().flatten() {
        if text.len() > LONGEST {
            return Err(Problem::usage(format!("a text to search for has at most {LONGEST} bytes")));
        }
    }
    let family = match query.parent.as_deref() {
        None | Some("none") => Family::Top,
        Some("any") => Family::All,
        Some(run) => Family::ChildrenOf(run_id("parent", run)?),
    };
    let tag: Option<Tag> =
        query.tag.map(|tag| tag.parse()).transpose().map_err(|error| Problem::usage(format!("`tag`: {error}")))?;
    Ok(RunFilter { text: query.q, statuses: statuses?, workflow: query.workflow, tag, family })
}

/// The forms of runs with their tags and notes.
pub fn forms(reader: &Reader, rows: &[RunRow]) -> Result<Vec<RunForm>, Problem> {
    let ids: Vec<RunId> = rows.iter().map(|run| run.id).collect();
    let annotations = reader.annotations(&ids)?;
    rows.iter().map(|run| RunForm::new(run, &annotations.get(&run.id).cloned().unwrap_or_default())).collect()
}

pub fn limit(given: Option<u32>, usual: u32, most: u32) -> Result<u32, Problem> {
    match given.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Problem::usage(format!("`limit` is a number from 1 to {most}"))),
    }
}

fn run_id(what: &str, text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| Problem::usage(format!("`{what}` is no id of a run")))
}
