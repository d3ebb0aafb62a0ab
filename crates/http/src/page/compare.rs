//! `GET /compare`: what differs between runs.

use askama::Template;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use super::parts::{Badge, Frame, Here, Shown, short_id, show, value_text};
use super::run::{by_path, charted};
use crate::desk::EngineView;
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_store::{Reader, RunRow};

const MOST_RUNS: usize = 6;
const MOST_STEPS: u64 = 500;
const MOST_ROWS: usize = 200;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/compare", Access::READ, compare, Doc::new("page", "Compares runs"))]
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Compare {
    frame: Frame,
    sides: Vec<Side>,
    params: Vec<Row>,
    same_params: usize,
    values: Vec<Row>,
    /// `[{"id","name","step"}]` for the script.
    charts: String,
    ids: String,
}

struct Side {
    id: RunId,
    name: String,
    short: String,
    state: Badge,
    workflow: String,
}

struct Row {
    name: String,
    cells: Vec<Cell>,
    differs: bool,
}

struct Cell {
    text: String,
}

async fn compare(State(app): State<AppState>, RawQuery(query): RawQuery) -> Shown {
    let runs = chosen(query.as_deref().unwrap_or_default());
    let engine = app.ask(|desk| Ok::<_, Problem>(desk.engine())).await?;
    let page = app.read(move |reader| page(reader, &runs, &engine)).await?;
    show(&page)
}

/// The values of `run=` in a query. Ids and names of runs need no decoding of percent signs but for spaces and signs.
fn chosen(query: &str) -> Vec<String> {
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("run="));
    values.filter(|value| !value.is_empty()).take(MOST_RUNS).map(str::to_owned).collect()
}

fn page(reader: &Reader, runs: &[String], engine: &EngineView) -> Result<Compare, Problem> {
    if runs.len() < 2 {
        return Err(Problem::usage("choose at least two runs to compare").hint("the list of runs has a box for each"));
    }
    let runs: Result<Vec<RunRow>, Problem> = runs.iter().map(|run| Ok(reader.run(reader.resolve_run(run)?)?)).collect();
    let runs = runs?;
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    let mut params = reader.params_of(&ids)?;
    let of_runs: Vec<Vec<(String, Value)>> =
        ids.iter().map(|id| params.remove(id).map(|params| by_path(&params.params)).unwrap_or_default()).collect();
    let all = table(&of_runs);
    let same_params = all.iter().filter(|row| !row.differs).count();
    let mut values = Vec::new();
    for id in &ids {
        values.push(values_of(reader, *id)?);
    }
    let mut charts = Vec::new();
    for run in &runs {
        if let Some(charted) = charted(reader, run, &reader.step_counts(run.id)?)? {
            charts.push(
                json!({ "id": run.id, "name": format!("{} ({})", run.name, short_id(run.id)), "step": charted.step }),
            );
        }
    }
    let address: Vec<String> = ids.iter().map(|id| format!("run={id}")).collect();
    Ok(Compare {
        frame: Frame::live(Here::Runs, format!("/compare?{}", address.join("&")), engine),
        sides: runs
            .iter()
            .map(|run| Side {
                id: run.id,
                name: run.name.clone(),
                short: short_id(run.id),
                state: Badge::of_run(run.status),
                workflow: run.workflow.clone(),
            })
            .collect(),
        params: all.into_iter().filter(|row| row.differs).take(MOST_ROWS).collect(),
        same_params,
        values: table(&values).into_iter().take(MOST_ROWS).collect(),
        charts: json!(charts).to_string(),
        ids: ids.iter().map(RunId::to_string).collect::<Vec<_>>().join(" "),
    })
}

/// The values that the steps of a run gave.
fn values_of(reader: &Reader, run: RunId) -> Result<Vec<(String, Value)>, Problem> {
    if reader.step_counts(run)?.top > MOST_STEPS {
        return Ok(Vec::new());
    }
    let steps = reader.overview(run, 0)?;
    let values = steps.iter().flat_map(|step| {
        let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
        values.map(|(name, value)| (format!("{}.{name}", step.id), value.clone()))
    });
    Ok(values.collect())
}

/// One row per name, in the order in which names come up.
fn table(sides: &[Vec<(String, Value)>]) -> Vec<Row> {
    let mut names: Vec<&String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (name, _) in sides.iter().flatten() {
        if seen.insert(name) {
            names.push(name);
        }
    }
    let value = |side: &Vec<(String, Value)>, name: &str| {
        side.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    names
        .into_iter()
        .map(|name| {
            let values: Vec<Option<Value>> = sides.iter().map(|side| value(side, name)).collect();
            Row {
                name: name.clone(),
                differs: values.windows(2).any(|pair| pair[0] != pair[1]),
                cells: values
                    .iter()
                    .map(|value| Cell { text: value.as_ref().map(value_text).unwrap_or_default() })
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_name_of_any_run() {
        let side =
            |pairs: &[(&str, i64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let rows = table(&[side(&[("a", 1), ("b", 2)]), side(&[("b", 3), ("c", 4), ("a", 1)])]);
        let shown: Vec<(&str, bool, Vec<&str>)> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.differs, row.cells.iter().map(|cell| cell.text.as_str()).collect()))
            .collect();
        assert_eq!(shown, [("a", false, vec!["1", "1"]), ("b", true, vec!["2", "3"]), ("c", true, vec!["", "4"])]);
        assert_eq!(chosen("run=x&run=&other=1&run=y"), ["x", "y"]);
    }
}
