//! `GET /runs/{run}/steps/{step}`: why a step ran or waits, its attempts and what they used, its checkpoints and results.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::super::super::parts::{Badge, Frame, Lasted, Shown, bytes, command, value_text};
use super::super::super::runs::encoded;
use super::super::checkpoints::{Saved, newest_and_best};
use super::super::head::{Around, Head, Tab, ViewOfRun};
use super::super::params::by_path;
use super::super::steps::{href, name, progress};
use super::attempts::{Attempt, attempts};
use super::reasons::reasons;
use super::usage::{Use, charts};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use jiff::Timestamp;
use stepwell_base::ids::StepId;
use stepwell_base::visible::visible;
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, StepRow};

/// Values and arguments that are listed.
const MOST: usize = 100;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/steps/{step}", Access::READ, step, Doc::new("page", "Shows a step"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    attempt: Option<u32>,
}

#[derive(Template)]
#[template(path = "step.html")]
struct Step {
    frame: Frame,
    head: Head,
    id: String,
    name: String,
    kind: String,
    state: Badge,
    time: Option<Lasted>,
    progress: String,
    needs: Vec<Need>,
    parent: Option<Need>,
    reasons: Vec<String>,
    /// The command that tells the reasons, for a run that is too large for this view.
    explain: Option<String>,
    failure: Option<String>,
    hint: Option<String>,
    can_retry: bool,
    has_log: bool,
    log: String,
    shown: u32,
    uses: Vec<Use>,
    attempts: Vec<Attempt>,
    checkpoints: Vec<Saved>,
    outputs: Vec<Output>,
    values: Vec<(String, String)>,
    arguments: Vec<(String, String)>,
}

struct Need {
    id: String,
    href: String,
}

struct Output {
    name: String,
    href: String,
    media_type: String,
    size: String,
}

async fn step(view: ViewOfRun, PathOf((_, step)): PathOf<(String, String)>, QueryOf(query): QueryOf<Query>) -> Shown {
    let id = view.around.id;
    let step = view.app().read(move |reader| Ok(reader.resolve_step(id, &step)?)).await?;
    let asked = step.clone();
    if view.around.is_large {
        return view
            .show(Tab::Step, move |reader, around, head| page(reader, around, head, &step, None, query.attempt))
            .await;
    }
    // A run that this build cannot read has no reasons.
    let told =
        view.app().ask(move |desk| Ok::<_, Problem>(desk.explain(id, Some(&asked)).unwrap_or(Value::Null))).await?;
    view.show(Tab::Step, move |reader, around, head| page(reader, around, head, &step, Some(&told), query.attempt))
        .await
}

fn page(
    reader: &Reader,
    around: &Around,
    head: Head,
    id: &StepId,
    told: Option<&Value>,
    attempt: Option<u32>,
) -> Result<Step, Problem> {
    let run = around.id;
    let row = reader.step(run, id)?;
    let shown = attempt.filter(|attempt| (1..=row.attempts).contains(attempt)).unwrap_or(row.attempts);
    let link = |id: &StepId| Need { id: id.to_string(), href: href(run, id) };
    let address = match attempt {
        Some(_) => format!("{}?attempt={shown}", href(run, id)),
        None => href(run, id),
    };
    let failure = row.failure.as_ref().filter(|_| row.status != StepStatus::Succeeded);
    Ok(Step {
        frame: around.frame(address),
        id: id.to_string(),
        name: name(&row),
        kind: row.kind.clone(),
        state: Badge::of_step(&row, head.status),
        time: Lasted::of_step(&row, head.status, Timestamp::now()),
        progress: progress(&row),
        needs: row.needs.iter().map(link).collect(),
        parent: row.parent.as_ref().map(link),
        reasons: match told {
            Some(told) if row.status != StepStatus::Failed => reasons(told),
            _ => Vec::new(),
        },
        explain: told.is_none().then(|| command("explain", [&*head.handle, id.as_str()])),
        failure: failure.map(|failure| visible(&failure.to_string()).into_owned()),
        hint: failure.and_then(|failure| failure.hint.as_ref()).map(|hint| visible(hint).into_owned()),
        can_retry: head.may_act && head.can.retry_step && row.status == StepStatus::Failed,
        has_log: row.attempts > 0,
        log: format!("/runs/{run}/logs?step={}", encoded(id.as_str())),
        shown,
        uses: charts(&reader.usage_of(run, id, shown)?),
        attempts: attempts(run, &row, reader.attempts(run, id)?, shown),
        checkpoints: newest_and_best(reader, run, id)?,
        outputs: outputs(&row),
        values: row.outputs.as_ref().map(|outputs| pairs(&outputs.values)).unwrap_or_default(),
        arguments: match &row.with {
            Some(Value::Object(with)) => pairs(with),
            _ => Vec::new(),
        },
        head,
    })
}

fn outputs(row: &StepRow) -> Vec<Output> {
    let artifacts = row.outputs.iter().flat_map(|outputs| &outputs.artifacts);
    let output = |(name, artifact): (&String, &stepwell_base::artifact::ArtifactRef)| Output {
        name: name.clone(),
        href: format!("/artifacts/{}", artifact.digest.as_str()),
        media_type: artifact.media_type.clone(),
        size: bytes(artifact.size),
    };
    artifacts.take(MOST).map(output).collect()
}

/// Values by their paths. The fingerprint of inputs is only for the program.
fn pairs(values: &serde_json::Map<String, Value>) -> Vec<(String, String)> {
    let shown = by_path(values).into_iter().filter(|(path, _)| !path.starts_with('$'));
    shown.take(MOST).map(|(path, value)| (path, value_text(&value))).collect()
}
