//! Series of a run: a million rows, in as many points as a screen shows.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::series::{Line, Part, build_blocks, names, pieces, reduce};
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_run::run_options::Origin;
use stepwell_store::{Point, Reader, SeriesRange, SeriesStep};

const USUAL: u32 = 1000;
const MOST: u32 = 2000;
/// Steps of a run whose series one answer has.
const MOST_STEPS: usize = 20;
/// Names of one series in one answer.
const MOST_NAMES: usize = 64;

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
    range: SeriesRange,
    points: usize,
}

async fn metrics(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    QueryOf(query): QueryOf<MetricQuery>,
) -> Result<Json<MetricPage>, Problem> {
    let wanted = Wanted {
        names: query.name.map(|names| names.split(',').map(str::to_owned).collect()),
        range: SeriesRange { after: query.from.and_then(|from| from.checked_sub(1)), up_to: query.to },
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
        let ranges = ranges(&parts, wanted.range);
        build_blocks(&app, &ranges).await?;
        located.push((step, parts, ranges));
    }
    app.read(move |reader| {
        let series = located.into_iter().map(|located| form(reader, run, located, &wanted));
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
    run: RunId,
    (step, parts, ranges): (SeriesStep, Vec<SeriesPart>, Vec<Part>),
    wanted: &Wanted,
) -> Result<SeriesForm, Problem> {
    let names = names(reader, &self::ranges(&parts, SeriesRange::default()))?;
    let is_chosen = |name: &&String| match &wanted.names {
        Some(chosen) => chosen.contains(name),
        None => !name.contains('/'),
    };
    let chosen: BTreeSet<String> = names.keys().filter(is_chosen).take(MOST_NAMES).cloned().collect();
    let pieces = pieces(reader, &ranges, &chosen, wanted.points as u64)?;
    let lines = pieces.into_iter().map(|(name, pieces)| (name, LineForm::from(reduce(&pieces, wanted.points))));
    let attempts = reader.attempt_starts(run, &step.id)?.into_iter();
    Ok(SeriesForm {
        step: step.id.to_string(),
        item: step.item,
        lines: lines.collect(),
        names,
        parts: parts.iter().map(PartForm::from).collect(),
        attempts: attempts.map(|(attempt, train_step)| AttemptStart { attempt, train_step }).collect(),
    })
}

/// The rows of each part that count: what a fork has of its own starts after the place where it leaves.
fn ranges(parts: &[SeriesPart], range: SeriesRange) -> Vec<Part> {
    let mut after = range.after;
    let mut ranges = Vec::new();
    for SeriesPart { run, step, up_to } in parts {
        let end = [*up_to, range.up_to].into_iter().flatten().min();
        ranges.push(Part { run: *run, step: step.clone(), range: SeriesRange { after, up_to: end } });
        after = after.max(*up_to);
    }
    ranges
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
