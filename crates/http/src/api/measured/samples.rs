//! Texts that a model wrote during its training.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::control::step_of;
use crate::api::runs::limit;
use crate::desk::SeriesPart;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_store::{Reader, SampleRow};

/// Training steps whose texts one answer has.
const USUAL: u32 = 20;
const MOST: u32 = 100;

pub fn routes() -> Vec<Route> {
    vec![Route::get(
        "/api/v1/runs/{run}/steps/{step}/samples",
        Access::READ,
        samples,
        Doc::new("metrics", "Lists the texts that a model wrote during its training")
            .query::<SampleQuery>()
            .returns::<SamplePage>(),
    )]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SampleQuery {
    /// Only the texts of this training step.
    #[param(minimum = 0)]
    at: Option<u64>,
    /// Training steps after this one: `next` of the page before.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Most training steps: 20, at most 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SamplePage {
    /// Every training step with texts, in order, with those of the run that a fork left.
    train_steps: Vec<u64>,
    samples: Vec<SampleForm>,
    /// `after` of the next page; null on the last one.
    next: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SampleForm {
    train_step: u64,
    /// Place among the prompts.
    number: u32,
    prompt: String,
    /// The continuation of the prompt.
    text: String,
}

async fn samples(
    State(app): State<AppState>,
    PathOf((run, step)): PathOf<(String, String)>,
    QueryOf(query): QueryOf<SampleQuery>,
) -> Result<Json<SamplePage>, Problem> {
    let limit = limit(query.limit, USUAL, MOST)? as usize;
    let (run, step) = app.read(move |reader| step_of(reader, &run, &step)).await?;
    let parts = app.ask(move |desk| desk.series(run, &step)).await?;
    app.read(move |reader| {
        let steps = train_steps(reader, &parts)?;
        let is_wanted = |train_step: u64| {
            query.at.is_none_or(|at| at == train_step) && query.after.is_none_or(|after| train_step > after)
        };
        let wanted: Vec<&(u64, usize)> = steps.iter().filter(|(train_step, _)| is_wanted(*train_step)).collect();
        let mut samples = Vec::new();
        for (train_step, part) in wanted.iter().take(limit) {
            let SeriesPart { run, step, .. } = &parts[*part];
            samples.extend(reader.samples_at(*run, step, *train_step)?.into_iter().map(SampleForm::from));
        }
        let next = wanted[..limit.min(wanted.len())].last().filter(|_| wanted.len() > limit);
        Ok(Json(SamplePage {
            next: next.map(|(train_step, _)| *train_step),
            train_steps: steps.iter().map(|(train_step, _)| *train_step).collect(),
            samples,
        }))
    })
    .await
}

/// The training steps with texts, in order, each with the place of its part.
fn train_steps(reader: &Reader, parts: &[SeriesPart]) -> Result<Vec<(u64, usize)>, Problem> {
    let mut steps = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let own = reader.sample_steps(part.run, &part.step)?.into_iter();
        steps.extend(own.filter(|step| part.up_to.is_none_or(|last| *step <= last)).map(|step| (step, place)));
    }
    steps.sort_unstable();
    Ok(steps)
}

impl From<SampleRow> for SampleForm {
    fn from(SampleRow { train_step, number, prompt, text }: SampleRow) -> SampleForm {
        SampleForm { train_step, number, prompt, text }
    }
}
