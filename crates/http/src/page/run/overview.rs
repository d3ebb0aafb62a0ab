//! `GET /runs/{run}`: what a person has to know first.

use askama::Template;

use super::super::parts::{Frame, Shown, value_text};
use super::chart_marks::{Charted, charted, marks};
use super::failures::{Failure, failures};
use super::graph::{Graph, MOST_STEPS, graph};
use super::head::{Around, Head, Tab, ViewOfRun};
use super::steps::{Query, Steps, steps};
use super::waits::{Waiting, waits};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
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
    more_failures: u64,
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

async fn overview(view: ViewOfRun, QueryOf(query): QueryOf<Query>) -> Shown {
    view.show(Tab::Overview, move |reader, around, head| page(reader, around, head, &query)).await
}

fn page(reader: &Reader, around: &Around, head: Head, query: &Query) -> Result<Overview, Problem> {
    let id = around.id;
    let run = reader.run(id)?;
    let (failures, more_failures) =
        if head.counts.failed > 0 { failures(reader, &run, &head.counts)? } else { (Vec::new(), 0) };
    let charted = charted(reader, &run, &head.counts)?;
    let is_small = head.counts.top <= MOST_STEPS;
    let top = if is_small { reader.overview(id, 0)? } else { Vec::new() };
    let spec = if is_small { reader.spec(id).ok() } else { None };
    let graph = spec.and_then(|spec| graph(&run, &spec, &top));
    Ok(Overview {
        frame: around.frame(query.address(id)),
        failures,
        more_failures,
        waits: waits(reader, &run)?,
        marks: match &charted {
            Some(charted) => marks(reader, &run, &charted.step)?,
            None => "[]".to_owned(),
        },
        charted,
        graph,
        steps: steps(reader, &run, &head.counts, query)?,
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
