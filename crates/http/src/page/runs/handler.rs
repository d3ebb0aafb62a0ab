//! `GET /runs`

use askama::Template;
use axum::extract::State;
use axum::response::Redirect;
use jiff::Timestamp;

use super::super::parts::{Frame, Here, Shown, show};
use super::filter::{Choice, Filter};
use super::rows::{Row, rows};
use crate::desk::EngineView;
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use crate::state::AppState;
use stepwell_store::Reader;

/// Runs on a page.
const MOST: usize = 50;
/// Workflows to choose from.
const WORKFLOWS: usize = 50;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/", Access::READ, home, Doc::new("page", "Leads to the list of runs")),
        Route::get("/runs", Access::READ, list, Doc::new("page", "Shows the list of runs")),
    ]
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    frame: Frame,
    filter: Filter,
    statuses: Vec<Choice>,
    workflows: Vec<Choice>,
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
    unreadable: usize,
}

async fn home() -> Redirect {
    Redirect::to("/runs")
}

async fn list(State(app): State<AppState>, QueryOf(filter): QueryOf<Filter>) -> Shown {
    let engine = app.ask(|desk| Ok::<_, Problem>(desk.engine())).await?;
    let page = app.read(move |reader| page(reader, filter, &engine)).await?;
    show(&page)
}

fn page(reader: &Reader, filter: Filter, engine: &EngineView) -> Result<Runs, Problem> {
    let mut found = reader.run_page(&filter.chosen()?, filter.before(), MOST + 1)?;
    let is_full = found.readable.len() + found.unreadable.len() > MOST;
    found.readable.truncate(MOST);
    let last = found.readable.last().filter(|_| is_full).map(|run| run.id);
    Ok(Runs {
        frame: Frame::live(Here::Runs, filter.href(filter.before()), engine),
        statuses: filter.statuses(),
        workflows: filter.workflows(reader.workflow_names(WORKFLOWS)?),
        rows: rows(reader, &found.readable, Timestamp::now())?,
        newest: filter.before().map(|_| filter.href(None)),
        older: last.map(|last| filter.href(Some(last))),
        unreadable: found.unreadable.len(),
        filter,
    })
}
