//! `POST /batches`: a file of requests, and the batch that answers it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::super::parts::{Goes, Shown, done};
use crate::openai::{LARGEST_FORM, NewBatch, content_of, in_time, lenient, store_batch, text_of};
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;
use stepwell_artifact::{ArtifactStore, open_regular};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::json::{self, DEPTH, Limit};
use stepwell_batch::body::Endpoint;
use stepwell_store::FileRow;

/// Bytes in which the first request is looked for.
const MOST_BYTES: u64 = 1 << 20;

pub fn routes() -> Vec<Route> {
    let doc = Doc::new("page", "Starts a batch from a file of requests");
    vec![Route::post("/batches", Access::RUN, add, doc).takes(LARGEST_FORM)]
}

/// The form as far as it has arrived.
#[derive(Default)]
struct Form {
    content: Option<(String, String, ArtifactRef)>,
    fields: BTreeMap<String, String>,
}

async fn add(State(app): State<AppState>, headers: HeaderMap, request: Request) -> Shown {
    let made = new(&app, request).await;
    let to = made.as_ref().map_or_else(|_| "/batches".to_owned(), |id| format!("/batches/{id}"));
    done(&headers, made.map(|_| "The batch is started.".to_owned()), &to, Goes::There)
}

/// Stores the file and the batch; returns its id.
async fn new(app: &AppState, request: Request) -> Result<String, Problem> {
    let _place = app.uploads().take()?;
    let form = read(app, request).await?;
    let Some((filename, id, artifact)) = form.content else {
        return Err(Problem::usage("choose a file of requests").about("file"));
    };
    let field = |name: &str| form.fields.get(name).map(|text| text.trim()).unwrap_or_default().to_owned();
    let (window, again, bad_lines) = (field("window"), field("again"), field("on_bad_line"));
    let endpoint = match field("endpoint").as_str() {
        "" => {
            let state_dir = app.read(|reader| Ok(reader.state_dir().to_owned())).await?;
            let input = artifact.clone();
            app.block(move || endpoint_of(&state_dir, &input)).await?
        }
        named => named.to_owned(),
    };
    let mut metadata = BTreeMap::new();
    match bad_lines.as_str() {
        "" | "fail" => {}
        "error_line" => metadata.extend([lenient()]),
        _ => return Err(Problem::usage("`on_bad_line` is `fail` or `error_line`").about("on_bad_line")),
    }
    if !again.is_empty() {
        metadata.insert("rerun".to_owned(), Timestamp::now().to_string());
    }
    let row =
        FileRow { id, artifact, filename, purpose: "batch".to_owned(), created_at: Timestamp::now(), expires_at: None };
    let file = app.write(move |store| Ok(store.add_file(&row)?)).await?;
    let window = if window.is_empty() { "24h" } else { &window };
    Ok(store_batch(app, NewBatch::new(file, (&endpoint, window), metadata, None)?).await?.id)
}

async fn read(app: &AppState, request: Request) -> Result<Form, Problem> {
    let multipart = Multipart::from_request(request, &()).await;
    let mut multipart = multipart.map_err(|rejection| Problem::usage(rejection.body_text()))?;
    let mut form = Form::default();
    while let Some(field) = in_time(multipart.next_field()).await? {
        match field.name().unwrap_or_default() {
            "file" if form.content.is_some() => return Err(Problem::usage("the form has two files").about("file")),
            "file" => form.content = Some(content_of(app, field).await?),
            name @ ("endpoint" | "window" | "on_bad_line" | "again") => {
                let name = name.to_owned();
                form.fields.insert(name, text_of(field).await?);
            }
            other => {
                let shown: String = other.chars().take(80).collect();
                return Err(Problem::usage(format!("a form has no field `{shown}`")));
            }
        }
    }
    Ok(form)
}

/// The endpoint that the first request names. Where none does, checking the lines says what is wrong.
fn endpoint_of(state_dir: &Path, input: &ArtifactRef) -> Result<String, Problem> {
    let failed = |error: std::io::Error| Problem::internal("reading the file", &error);
    let path = ArtifactStore::open(state_dir)?.blob_path(&input.digest);
    let file = open_regular(&path).map_err(|error| Problem::internal("reading the file", &error))?;
    let start = BufReader::new(file.take(MOST_BYTES));
    for line in start.split(b'\n') {
        let line = line.map_err(failed)?;
        let request = json::parse::<Value>(&line, Limit { depth: DEPTH, bytes: MOST_BYTES });
        let url = request.ok().and_then(|request| Endpoint::find(request["url"].as_str()?));
        if let Some(endpoint) = url {
            return Ok(endpoint.as_str().to_owned());
        }
    }
    Ok(Endpoint::ChatCompletions.as_str().to_owned())
}
