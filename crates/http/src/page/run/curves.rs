//! `GET /runs/{run}/curves`: every series of a step, next to those of other runs.

use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::parts::{Frame, Shown, short_id};
use super::super::runs::encoded;
use super::chart_marks::{charted, marks, with_series};
use super::head::{Around, Head, Tab, ViewOfRun};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use stepwell_base::ids::StepId;
use stepwell_store::{Reader, RunFilter, RunRow};

/// Runs that can be laid over the curves of one.
const MOST_OTHERS: usize = 5;
/// Runs to choose from.
const MOST_CHOICES: usize = 30;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/curves", Access::READ, curves, Doc::new("page", "Shows the curves of a run"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    step: String,
    /// Ids of other runs, separated by commas.
    with: String,
}

#[derive(Template)]
#[template(path = "curves.html")]
struct Curves {
    frame: Frame,
    head: Head,
    step: Option<StepId>,
    steps: Vec<Choice>,
    marks: String,
    /// `[{"id","name","step"}]` for the script.
    others: String,
    choices: Vec<Choice>,
}

struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

async fn curves(view: ViewOfRun, QueryOf(query): QueryOf<Query>) -> Shown {
    view.show(Tab::Curves, move |reader, around, head| page(reader, around, head, &query)).await
}

fn page(reader: &Reader, around: &Around, head: Head, query: &Query) -> Result<Curves, Problem> {
    let id = around.id;
    let run = reader.run(id)?;
    let steps = with_series(reader, &run, &head.counts)?;
    let asked = steps.iter().find(|step| step.as_str() == query.step).cloned();
    let step = match asked {
        Some(step) => Some(step),
        None => charted(reader, &run, &head.counts)?.map(|charted| charted.step),
    };
    let others = others(reader, &query.with)?;
    let marks = match &step {
        Some(step) => marks(reader, &run, step)?,
        None => "[]".to_owned(),
    };
    let shown: Vec<Value> = others
        .iter()
        .map(|run| json!({ "id": run.id, "name": format!("{} ({})", run.name, short_id(run.id)) }))
        .collect();
    let url = format!("/runs/{id}/curves?step={}&with={}", encoded(&query.step), encoded(&query.with));
    Ok(Curves {
        frame: around.frame(url),
        head,
        steps: steps
            .iter()
            .map(|other| Choice {
                value: other.to_string(),
                text: other.to_string(),
                is_chosen: Some(other) == step.as_ref(),
            })
            .collect(),
        step,
        marks,
        others: json!(shown).to_string(),
        choices: choices(reader, &run, &others)?,
    })
}

fn others(reader: &Reader, with: &str) -> Result<Vec<RunRow>, Problem> {
    let ids = with.split(',').filter(|id| !id.is_empty()).take(MOST_OTHERS);
    ids.map(|id| Ok(reader.run(reader.resolve_run(id)?)?)).collect()
}

/// The chosen runs, then the newest others.
fn choices(reader: &Reader, run: &RunRow, chosen: &[RunRow]) -> Result<Vec<Choice>, Problem> {
    let newest = reader.run_page(&RunFilter::default(), None, MOST_CHOICES)?.readable;
    let is_new = |other: &&RunRow| other.id != run.id && chosen.iter().all(|run| run.id != other.id);
    let choice = |is_chosen: bool| {
        move |run: &RunRow| Choice {
            value: run.id.to_string(),
            text: format!("{} ({}), {}", run.name, short_id(run.id), run.status.as_str()),
            is_chosen,
        }
    };
    Ok(chosen.iter().map(choice(true)).chain(newest.iter().filter(is_new).map(choice(false))).collect())
}
