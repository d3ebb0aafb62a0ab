//! `GET /runs/{run}`: what a person has to know first.

use askama::Template;
use axum::Extension;
use axum::extract::State;

use super::super::parts::{Frame, Here, Shown, show, value_text};
use super::chart_marks::{Charted, charted, marks};
use super::failures::{Failure, failures};
use super::graph::{Graph, MOST_STEPS, graph};
use super::head::{Around, Head, Tab};
use super::steps::{Query, Steps, steps};
use super::waits::{Waiting, waits};
use crate::guard::Identity;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_store::{Reader, StepRow};

/// Most values under Results.
const MOST_RESULTS: usize = 24;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}", Access::READ, overview, Doc::new("page", "Shows a run"))]
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    head: Head,
    failures: Vec<Failure>,
    more_failures: usize,
    waits: Vec<Waiting>,
    charted: Option<Charted>,
    marks: String,
    graph: Option<Graph>,
    steps: Steps,
    results: Vec<Given>,
}

struct Given {
    step: String,
    name: String,
    text: String,
}

async fn overview(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    QueryOf(query): QueryOf<Query>,
    Extension(identity): Extension<Identity>,
) -> Shown {
    let around = Around::read(&app, run, identity).await?;
    let page = app.read(move |reader| page(reader, &around, &query)).await?;
    show(&page)
}

fn page(reader: &Reader, around: &Around, query: &Query) -> Result<Overview, Problem> {
    let id = around.id;
    let head = Head::read(reader, around, Tab::Overview)?;
    let run = reader.run(id)?;
    let (failures, more_failures) = if head.failed > 0 { failures(reader, &run)? } else { (Vec::new(), 0) };
    let charted = charted(reader, &run)?;
    let is_small = reader.step_counts(id)?.top <= MOST_STEPS;
    let top = if is_small { reader.overview(id, 0)? } else { Vec::new() };
    let graph = match reader.spec(id) {
        Ok(spec) if is_small => graph(&run, &spec, &top),
        _ => None,
    };
    let url = match (query.status.is_empty(), query.q.is_empty(), query.page) {
        (true, true, 0) => format!("/runs/{id}"),
        _ => format!(
            "/runs/{id}?status={}&q={}&page={}",
            super::super::runs::encoded(&query.status),
            super::super::runs::encoded(&query.q),
            query.page
        ),
    };
    Ok(Overview {
        frame: Frame::live(Here::Runs, url, &around.engine),
        failures,
        more_failures,
        waits: waits(reader, &run)?,
        marks: match &charted {
            Some(charted) => marks(reader, &run, &charted.step)?,
            None => "[]".to_owned(),
        },
        charted,
        graph,
        steps: steps(reader, &run, query)?,
        results: results(&top),
        head,
    })
}

/// Values of steps that have succeeded; the last step first, because results come at the end.
fn results(steps: &[StepRow]) -> Vec<Given> {
    let given = steps.iter().rev().flat_map(|step| {
        let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
        values.map(|(name, value)| Given { step: step.id.to_string(), name: name.clone(), text: value_text(value) })
    });
    given.take(MOST_RESULTS).collect()
}
