//! Content by its digest. A name is only looked up in lists, and never becomes part of a path.

use std::fs::File;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::file::{send, wanted};
use crate::api::control::kept_run;
use crate::api::forms::{Anything, ArtifactForm};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, QueryOf, Route};
use crate::state::AppState;
use stepwell_artifact::{ArtifactError, ArtifactStore, open_regular};
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_store::{Reader, Reference, ReferenceHolder};

/// Most entries of a tree in a page.
const MOST: u32 = 1000;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/runs/{run}/artifacts",
            Access::READ,
            of_run,
            Doc::new("artifacts", "Lists what the steps of a run produced").returns::<OutputList>(),
        ),
        Route::get(
            "/api/v1/artifacts/{digest}",
            Access::READ,
            show,
            Doc::new("artifacts", "Describes an artifact and names the step that produced it")
                .returns::<ArtifactDetail>(),
        ),
        Route::get(
            "/api/v1/artifacts/{digest}/content",
            Access::READ,
            content,
            Doc::new("artifacts", "Sends the content of a file, or a range of it").streams("application/octet-stream"),
        ),
        Route::get(
            "/api/v1/artifacts/{digest}/tree",
            Access::READ,
            tree,
            Doc::new("artifacts", "Lists the files of a folder").query::<TreeQuery>().returns::<TreePage>(),
        ),
        Route::get(
            "/api/v1/artifacts/{digest}/entry",
            Access::READ,
            entry,
            Doc::new("artifacts", "Sends a file of a folder, or a range of it")
                .query::<EntryQuery>()
                .streams("application/octet-stream"),
        ),
        Route::get(
            "/api/v1/artifacts/{digest}/provenance",
            Access::READ,
            provenance,
            Doc::new("artifacts", "Tells where an artifact comes from, back to the imports").returns::<Anything>(),
        ),
    ]
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OutputList {
    outputs: Vec<NamedOutput>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NamedOutput {
    step: String,
    name: String,
    artifact: ArtifactForm,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ArtifactDetail {
    artifact: ArtifactForm,
    /// True for a folder.
    is_tree: bool,
    /// The newest run that has it.
    run: String,
    step: String,
    /// Name of the output.
    name: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TreeQuery {
    /// `next` of the page before.
    #[serde(default)]
    #[param(minimum = 0)]
    cursor: u32,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TreePage {
    entries: Vec<TreeEntry>,
    /// Files in the folder.
    total: u64,
    next: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TreeEntry {
    /// Place of the file in the folder, from 0.
    index: u32,
    path: String,
    artifact: ArtifactForm,
}

/// One file of a folder: by its place or by its path.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EntryQuery {
    #[param(minimum = 0)]
    index: Option<u32>,
    path: Option<String>,
}

async fn of_run(State(app): State<AppState>, PathOf(run): PathOf<String>) -> Result<Json<OutputList>, Problem> {
    app.read(move |reader| {
        let run = kept_run(reader, &run)?;
        let outputs = reader.artifacts(Some(run))?.into_iter().map(|(step, name, artifact)| NamedOutput {
            step: step.to_string(),
            name,
            artifact: (&artifact).into(),
        });
        Ok(Json(OutputList { outputs: outputs.collect() }))
    })
    .await
}

async fn show(State(app): State<AppState>, PathOf(digest): PathOf<String>) -> Result<Json<ArtifactDetail>, Problem> {
    app.read(move |reader| {
        let found = find(reader, &digest)?;
        Ok(Json(ArtifactDetail {
            is_tree: found.artifact.is_tree(),
            artifact: (&found.artifact).into(),
            run: found.run.to_string(),
            step: found.step.to_string(),
            name: match found.holder {
                ReferenceHolder::Output(name) => Some(name),
                ReferenceHolder::Checkpoint { .. } => None,
            },
        }))
    })
    .await
}

async fn content(
    State(app): State<AppState>,
    PathOf(digest): PathOf<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (artifact, file) = app
        .read(move |reader| {
            let artifact = find(reader, &digest)?.artifact;
            Ok((artifact.clone(), open(reader, &artifact)?))
        })
        .await?;
    answer(&artifact, file, &headers)
}

async fn tree(
    State(app): State<AppState>,
    PathOf(digest): PathOf<String>,
    QueryOf(query): QueryOf<TreeQuery>,
) -> Result<Json<TreePage>, Problem> {
    app.read(move |reader| {
        let entries = entries(reader, &find(reader, &digest)?.artifact)?;
        let total = entries.len();
        let page = entries.into_iter().enumerate().skip(query.cursor as usize).take(MOST as usize);
        let page = page.map(|(index, (path, artifact))| TreeEntry {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            path,
            artifact: (&artifact).into(),
        });
        let end = query.cursor.saturating_add(MOST);
        let next = ((end as usize) < total).then_some(end);
        Ok(Json(TreePage { entries: page.collect(), total: total as u64, next }))
    })
    .await
}

async fn entry(
    State(app): State<AppState>,
    PathOf(digest): PathOf<String>,
    QueryOf(query): QueryOf<EntryQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (artifact, file) = app
        .read(move |reader| {
            let mut entries = entries(reader, &find(reader, &digest)?.artifact)?;
            let found = match (query.index, query.path) {
                (Some(index), None) if (index as usize) < entries.len() => Some(entries.swap_remove(index as usize)),
                (None, Some(path)) => entries.into_iter().find(|(known, _)| *known == path),
                (Some(_), None) => None,
                _ => return Err(Problem::usage("name one file: by `index`, or by `path`")),
            };
            let (_, artifact) = found.ok_or_else(|| Problem::not_found("the folder has no such file"))?;
            Ok((artifact.clone(), open(reader, &artifact)?))
        })
        .await?;
    answer(&artifact, file, &headers)
}

async fn provenance(State(app): State<AppState>, PathOf(digest): PathOf<String>) -> Result<Json<Anything>, Problem> {
    let digest = parse(&digest)?;
    app.ask(move |desk| desk.provenance(&digest)).await.map(|value| Json(Anything(value)))
}

/// # Errors
/// `usage` for anything but a digest.
pub fn parse(digest: &str) -> Result<Digest, Problem> {
    digest.parse().map_err(|_| Problem::usage("a digest is 64 hexadecimal digits"))
}

/// The artifact of a digest, if a step of a run has produced it.
pub fn find(reader: &Reader, digest: &str) -> Result<Reference, Problem> {
    let digest = parse(digest)?;
    let found = reader.outputs_like(digest.as_str(), 1)?.pop();
    found.ok_or_else(|| {
        Problem::not_found("no step has produced an artifact of this digest")
            .hint("`GET /api/v1/runs/RUN/artifacts` lists those of a run")
    })
}

/// The files of a folder, sorted by path.
pub fn entries(reader: &Reader, artifact: &ArtifactRef) -> Result<Vec<(String, ArtifactRef)>, Problem> {
    if !artifact.is_tree() {
        return Err(Problem::usage("this artifact is a file, not a folder").hint("`content` sends it"));
    }
    Ok(store(reader)?.read_tree(artifact)?.entries.into_iter().collect())
}

pub fn open(reader: &Reader, artifact: &ArtifactRef) -> Result<File, Problem> {
    if artifact.is_tree() {
        return Err(Problem::usage("this artifact is a folder").hint("`tree` lists its files, `entry` sends one"));
    }
    let path = store(reader)?.blob_path(&artifact.digest);
    let file = open_regular(&path).map_err(|error| {
        Problem::new(StatusCode::GONE, "not_found", format!("the content is gone: {error}"))
            .hint("`stepwell artifact verify` checks all content; running the step again makes it anew")
    })?;
    match file.metadata() {
        Ok(metadata) if metadata.len() == artifact.size => Ok(file),
        _ => Err(Problem::new(StatusCode::GONE, "damaged", "the content does not have its size any more")
            .hint("`stepwell artifact verify` checks all content")),
    }
}

fn store(reader: &Reader) -> Result<ArtifactStore, Problem> {
    Ok(ArtifactStore::open(reader.state_dir())?)
}

fn answer(artifact: &ArtifactRef, file: File, asked: &HeaderMap) -> Result<Response, Problem> {
    let tag = HeaderValue::try_from(format!("\"{}\"", artifact.digest));
    let tag = tag.map_err(|error| Problem::internal("the answer", &error))?;
    // A digest never stands for other content.
    let caching = HeaderValue::from_static("private, max-age=31536000, immutable");
    if asked.get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let (media_type, disposition) = shown_as(&artifact.media_type);
    let name = format!("{disposition}; filename=\"{}\"", &artifact.digest.as_str()[..16]);
    let name = HeaderValue::try_from(name).map_err(|error| Problem::internal("the answer", &error))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, name),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, caching),
    ];
    send(file, artifact.size, wanted(asked, artifact.size), headers)
}

/// The media type to send, and whether a browser may show it. What could be markup or a script is text or a download.
fn shown_as(media_type: &str) -> (&'static str, &'static str) {
    match media_type.split(';').next().unwrap_or_default().trim() {
        "image/png" => ("image/png", "inline"),
        "image/jpeg" => ("image/jpeg", "inline"),
        "image/gif" => ("image/gif", "inline"),
        "image/webp" => ("image/webp", "inline"),
        "application/json" | "application/toml" => ("text/plain; charset=utf-8", "inline"),
        text if text.starts_with("text/") => ("text/plain; charset=utf-8", "inline"),
        _ => ("application/octet-stream", "attachment"),
    }
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Problem {
        match &error {
            ArtifactError::Missing { .. } => {
                Problem::new(StatusCode::GONE, "not_found", error.what()).hint(error.hint())
            }
            ArtifactError::Damaged { .. } | ArtifactError::WrongSize { .. } | ArtifactError::InvalidTree { .. } => {
                Problem::new(StatusCode::GONE, "damaged", error.what()).hint(error.hint())
            }
            other => Problem::internal("reading the artifact", other),
        }
    }
}
