//! `GET /runs/{run}/artifacts`: what the steps made, and checkpoints.

use askama::Template;

use super::super::parts::{Frame, Shown, bytes, command, handle, short_id};
use super::checkpoints::{Saved, all};
use super::head::{Around, Head, Tab, ViewOfRun};
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
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
    /// The address of its view.
    href: String,
    /// The address of its content; a folder has none.
    content: Option<String>,
    reused: Option<String>,
    command: String,
}

async fn artifacts(view: ViewOfRun) -> Shown {
    view.show(Tab::Artifacts, page).await
}

fn page(reader: &Reader, around: &Around, head: Head) -> Result<Artifacts, Problem> {
    let id = around.id;
    // Items of large fan-outs have too many outputs for a page; the command line lists them.
    let steps = if head.counts.top > MOST_STEPS { Vec::new() } else { reader.overview(id, 20)? };
    let handle = handle(reader, &reader.run(id)?);
    let mut outputs: Vec<Output> = steps.iter().rev().flat_map(|step| outputs_of(&handle, step)).collect();
    let left_out = outputs.len().saturating_sub(MOST);
    outputs.truncate(MOST);
    let mut checkpoints = Vec::new();
    for step in steps.iter().filter(|step| step.attempts > 0 && step.children.is_none()) {
        checkpoints.extend(all(reader, id, &step.id)?);
    }
    checkpoints.truncate(MOST);
    Ok(Artifacts { frame: around.frame(format!("/runs/{id}/artifacts")), head, outputs, left_out, checkpoints })
}

fn outputs_of(handle: &str, step: &StepRow) -> Vec<Output> {
    let artifacts = step.outputs.iter().flat_map(|outputs| &outputs.artifacts);
    let output = |(name, artifact): (&String, &stepwell_base::artifact::ArtifactRef)| {
        let digest = artifact.digest.as_str();
        Output {
            step: step.id.to_string(),
            name: name.clone(),
            media_type: artifact.media_type.clone(),
            size: bytes(artifact.size),
            href: format!("/artifacts/{digest}"),
            content: (!artifact.is_tree()).then(|| format!("/api/v1/artifacts/{digest}/content")),
            digest: digest.to_owned(),
            reused: step.reused_from.map(short_id),
            command: command("artifact get", [&*format!("{handle}/{}/{name}", step.id)]),
        }
    };
    artifacts.map(output).collect()
}
