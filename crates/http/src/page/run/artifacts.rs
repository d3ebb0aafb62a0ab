//! `GET /runs/{run}/artifacts`: what the steps made, and checkpoints.

use askama::Template;
use axum::Extension;
use axum::extract::State;

use super::super::parts::{Frame, Here, Shown, When, bytes, command, handle, short_id, show};
use super::head::{Around, Head, Tab};
use crate::guard::Identity;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_store::{Reader, StepRow};

const MOST_STEPS: u64 = 500;
const MOST: usize = 200;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/artifacts", Access::READ, artifacts, Doc::new("page", "Shows the artifacts of a run"))]
}

#[derive(Template)]
#[template(path = "artifacts.html")]
struct Artifacts {
    frame: Frame,
    head: Head,
    outputs: Vec<Output>,
    left_out: usize,
    checkpoints: Vec<Saved>,
}

struct Output {
    step: String,
    name: String,
    media_type: String,
    size: String,
    digest: String,
    /// The address of its content; a folder has none.
    content: Option<String>,
    provenance: String,
    reused: Option<String>,
    command: String,
}

struct Saved {
    step: String,
    at: When,
    train_step: Option<u64>,
    loss: Option<String>,
    size: Option<String>,
    attempt: u32,
    note: String,
}

async fn artifacts(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Extension(identity): Extension<Identity>,
) -> Shown {
    let around = Around::read(&app, run, identity).await?;
    let page = app.read(move |reader| page(reader, &around)).await?;
    show(&page)
}

fn page(reader: &Reader, around: &Around) -> Result<Artifacts, Problem> {
    let id = around.id;
    let head = Head::read(reader, around, Tab::Artifacts)?;
    // Items of large fan-outs have too many outputs for a page; the command line lists them.
    let steps = if reader.step_counts(id)?.top > MOST_STEPS { Vec::new() } else { reader.overview(id, 20)? };
    let handle = handle(reader, &reader.run(id)?);
    let mut outputs: Vec<Output> = steps.iter().rev().flat_map(|step| outputs_of(&handle, step)).collect();
    let left_out = outputs.len().saturating_sub(MOST);
    outputs.truncate(MOST);
    let mut checkpoints = Vec::new();
    for step in steps.iter().filter(|step| step.attempts > 0 && step.children.is_none()) {
        checkpoints.extend(reader.checkpoints(id, &step.id)?.into_iter().map(|row| Saved {
            step: step.id.to_string(),
            at: When::new(row.at),
            train_step: row.checkpoint.last_step,
            loss: row.checkpoint.loss.map(|loss| format!("{loss:.4}")),
            size: row.checkpoint.artifact.as_ref().map(|artifact| bytes(artifact.size)),
            attempt: row.attempt,
            note: match (&row.checkpoint.phase, row.checkpoint.permanent) {
                (Some(phase), true) => format!("end of {phase}, kept"),
                (_, true) => "kept".to_owned(),
                (Some(phase), false) => phase.clone(),
                (None, false) => String::new(),
            },
        }));
    }
    checkpoints.truncate(MOST);
    Ok(Artifacts {
        frame: Frame::live(Here::Runs, format!("/runs/{id}/artifacts"), &around.engine),
        head,
        outputs,
        left_out,
        checkpoints,
    })
}

fn outputs_of(handle: &str, step: &StepRow) -> Vec<Output> {
    let artifacts = step.outputs.iter().flat_map(|outputs| &outputs.artifacts);
    let output = |(name, artifact): (&String, &stepwell_base::artifact::ArtifactRef)| {
        let digest = artifact.digest.as_str();
        let is_tree = artifact.media_type.contains("tree");
        Output {
            step: step.id.to_string(),
            name: name.clone(),
            media_type: artifact.media_type.clone(),
            size: bytes(artifact.size),
            content: (!is_tree).then(|| format!("/api/v1/artifacts/{digest}")),
            provenance: format!("/api/v1/artifacts/{digest}/provenance"),
            digest: digest.to_owned(),
            reused: step.reused_from.map(short_id),
            command: command("artifact get", [&*format!("{handle}/{}/{name}", step.id)]),
        }
    };
    artifacts.map(output).collect()
}
