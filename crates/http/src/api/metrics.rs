//! Series of a run: a million rows, in as many points as a screen shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::control::kept_run;
use super::runs::limit;
use crate::desk::SeriesPart;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::series::{Extremes, Line, Place, Point, Range, Summaries, reduce, rows};
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, SeriesStep};

const USUAL: u32 = 1000;
const MOST: u32 = 2000;
/// Steps of a run whose series one answer has.
const MOST_STEPS: usize = 20;
/// Names of one series in one answer.
const MOST_NAMES: usize = 64;
/// Rows that are read as they are; longer ranges come from blocks of rows.
const MOST_ROWS: u64 = 20_000;

pub fn routes() -> Vec<Route> {
    vec![Route::get(
        "/api/v1/runs/{run}/metrics",
        Access::READ,
        metrics,
        Doc::new("metrics", "Sends series in few points, with the lowest and the highest of every piece")
            .query::<MetricQuery>()
            .returns::<MetricPage>(),
    )]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MetricQuery {
    /// Only the series of this step.
    step: Option<String>,
    /// Names of series, separated by commas; without it, all whose name has no `/`.
    name: Option<String>,
    /// Training steps from this one on.
    #[param(minimum = 0)]
    from: Option<u64>,
    /// Training steps up to this one.
    #[param(minimum = 0)]
    to: Option<u64>,
    /// Most points of a line: 1,000, at most 2,000.
    #[param(minimum = 10, maximum = 2000)]
    points: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MetricPage {
    series: Vec<SeriesForm>,
    /// True if the run has more steps with series.
    more: bool,
}

/// The series of one step, with those rows of earlier runs that a fork continues.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesForm {
    step: String,
    item: Option<Value>,
    /// Every name that was reported, with the number of its values.
    names: BTreeMap<String, u64>,
    /// The runs that the rows are of, oldest first.
    parts: Vec<PartForm>,
    /// The first training step of each attempt of the run itself.
    attempts: Vec<AttemptStart>,
    lines: BTreeMap<String, LineForm>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PartForm {
    run: String,
    step: String,
    /// The last training step that counts.
    up_to: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptStart {
    attempt: u32,
    train_step: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LineForm {
    /// `[training step, value]`, in order; null is no number.
    #[schema(value_type = Vec<Vec<f64>>)]
    points: Vec<(u64, Option<f64>)>,
    /// Values that the points stand for.
    count: u64,
    #[schema(value_type = Option<Vec<f64>>)]
    minimum: Option<(u64, f64)>,
    #[schema(value_type = Option<Vec<f64>>)]
    maximum: Option<(u64, f64)>,
    #[schema(value_type = Option<Vec<f64>>)]
    last: Option<(u64, Option<f64>)>,
}

/// The part of each series that a request asks for.
struct Wanted {
    names: Option<Vec<String>>,
    range: Range,
    points: usize,
}

async fn metrics(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    QueryOf(query): QueryOf<MetricQuery>,
) -> Result<Json<MetricPage>, Problem> {
    let wanted = Wanted {
        names: query.name.map(|names| names.split(',').map(str::to_owned).collect()),
        range: Range { after: query.from.and_then(|from| from.checked_sub(1)), up_to: query.to },
        points: limit(query.points, USUAL, MOST)?.max(10) as usize,
    };
    let step = query.step;
    let (run, mut steps) = app.read(move |reader| steps(reader, &run, step.as_deref())).await?;
    let more = steps.len() > MOST_STEPS;
    steps.truncate(MOST_STEPS);
    let mut located = Vec::with_capacity(steps.len());
    for step in steps {
        let id = step.id.clone();
        let parts = app.ask(move |desk| desk.series(run, &id)).await?;
        located.push((step, parts));
    }
    let summaries = app.summaries();
    app.read(move |reader| {
        let series = located.into_iter().map(|(step, parts)| form(reader, &summaries, (run, step, parts), &wanted));
        Ok(Json(MetricPage { series: series.collect::<Result<_, _>>()?, more }))
    })
    .await
}

/// The steps that have series, or the one that is asked for.
fn steps(reader: &Reader, run: &str, step: Option<&str>) -> Result<(RunId, Vec<SeriesStep>), Problem> {
    let run = kept_run(reader, run)?;
    if let Some(step) = step {
        let id = reader.resolve_step(run, step)?;
        let item = reader.step(run, &id)?.item;
        return Ok((run, vec![SeriesStep { id, item, reused: None }]));
    }
    let forked = match reader.run(run)?.options.origin {
        Some(Origin::Fork { at, train_step: Some(_), .. }) => Some(at),
        _ => None,
    };
    Ok((run, reader.series_steps(run, forked.as_ref())?))
}

fn form(
    reader: &Reader,
    summaries: &Arc<Summaries>,
    (run, step, parts): (RunId, SeriesStep, Vec<SeriesPart>),
    wanted: &Wanted,
) -> Result<SeriesForm, Problem> {
    let places = places(&parts, wanted.range);
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for (place, _) in &places {
        summaries.with(reader, place, |summary| {
            summary.names().for_each(|(name, count)| *names.entry(name.clone()).or_default() += count);
        })?;
    }
    let chosen: Vec<&String> = match &wanted.names {
        Some(chosen) => names.keys().filter(|name| chosen.contains(name)).take(MOST_NAMES).collect(),
        None => names.keys().filter(|name| !name.contains('/')).take(MOST_NAMES).collect(),
    };
    let mut lines = BTreeMap::new();
    for (name, pieces) in pieces(reader, summaries, &places, &chosen)? {
        lines.insert(name, LineForm::from(reduce(&pieces, wanted.points)));
    }
    let attempts = reader.attempt_starts(run, &step.id)?.into_iter();
    Ok(SeriesForm {
        step: step.id.to_string(),
        item: step.item,
        lines,
        names,
        parts: parts.iter().map(PartForm::from).collect(),
        attempts: attempts.map(|(attempt, train_step)| AttemptStart { attempt, train_step }).collect(),
    })
}

/// The rows of each part that count: what a fork has of its own starts after the place where it leaves.
fn places(parts: &[SeriesPart], range: Range) -> Vec<(Place, Range)> {
    let mut after = range.after;
    let mut places = Vec::new();
    for SeriesPart { run, step, up_to } in parts {
        let end = [*up_to, range.up_to].into_iter().flatten().min();
        places.push((Place { run: *run, step: step.clone() }, Range { after, up_to: end }));
        after = after.max(*up_to);
    }
    places
}

type Pieces = Vec<(String, Vec<Extremes>)>;

/// The pieces of each name: single rows of a short range, else blocks of rows.
fn pieces(
    reader: &Reader,
    summaries: &Arc<Summaries>,
    places: &[(Place, Range)],
    names: &[&String],
) -> Result<Pieces, Problem> {
    let mut found: Pieces = names.iter().map(|name| ((*name).clone(), Vec::new())).collect();
    let mut count = 0;
    for (Place { run, step }, range) in places {
        count += reader.count_rows((*run, step), (range.after, range.up_to), MOST_ROWS + 1)?;
    }
    for (place, range) in places {
        if count <= MOST_ROWS {
            rows(reader, place, *range, &mut found)?;
        } else {
            summaries.with(reader, place, |summary| {
                found.iter_mut().for_each(|(name, pieces)| pieces.extend(summary.pieces(name, *range)));
            })?;
        }
    }
    Ok(found)
}

impl From<&SeriesPart> for PartForm {
    fn from(part: &SeriesPart) -> PartForm {
        PartForm { run: part.run.to_string(), step: part.step.to_string(), up_to: part.up_to }
    }
}

impl From<Line> for LineForm {
    fn from(line: Line) -> LineForm {
        let number = |point: &Point| Some(point.value).filter(|value| value.is_finite());
        let pair = |point: Point| (point.train_step, point.value);
        LineForm {
            points: line.points.iter().map(|point| (point.train_step, number(point))).collect(),
            count: line.count,
            minimum: line.low.map(pair),
            maximum: line.high.map(pair),
            last: line.last.map(|point| (point.train_step, number(&point))),
        }
    }
}
