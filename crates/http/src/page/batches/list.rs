//! `GET /batches`

use askama::Template;
use axum::Extension;
use axum::extract::State;
use serde::Deserialize;

use super::super::parts::{Badge, Frame, Here, Shown, When, show};
use super::super::runs::encoded;
use crate::desk::EngineView;
use crate::guard::Identity;
use crate::openai::{Situation, counts, find_batch, status};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use crate::state::AppState;
use stepwell_base::scope::Scope;
use stepwell_base::visible::visible_line;
use stepwell_store::{BatchRow, Reader};

/// Batches on a page.
const MOST: usize = 25;
/// Models that are named.
const MODELS: usize = 30;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/batches", Access::READ, list, Doc::new("page", "Shows the batches"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    /// The last batch of the page before.
    after: String,
}

#[derive(Template)]
#[template(path = "batches.html")]
struct Batches {
    frame: Frame,
    may_act: bool,
    rows: Vec<Row>,
    is_due: bool,
    newest: Option<&'static str>,
    older: Option<String>,
    /// Names of models that requests can name.
    models: Vec<String>,
    more_models: usize,
}

struct Row {
    href: String,
    /// Name of the input file.
    name: String,
    short_id: String,
    state: Badge,
    why: Option<String>,
    model: String,
    total: u64,
    done: u64,
    failed: u64,
    created: When,
    expires: When,
    is_open: bool,
}

async fn list(
    State(app): State<AppState>,
    Extension(identity): Extension<Identity>,
    QueryOf(query): QueryOf<Query>,
) -> Shown {
    let (engine, models) = app
        .ask(|desk| Ok::<_, Problem>((desk.engine(), desk.models()?.into_iter().map(|model| model.id).collect())))
        .await?;
    let page = app.read(move |reader| page(reader, &query, (&engine, models), &identity)).await?;
    show(&page)
}

fn page(
    reader: &Reader,
    query: &Query,
    (engine, mut models): (&EngineView, Vec<String>),
    identity: &Identity,
) -> Result<Batches, Problem> {
    let after = match query.after.as_str() {
        "" => None,
        id => Some(find_batch(reader, id)?.batch),
    };
    let mut found = reader.batch_page(after.as_ref().map(|batch| (batch.created_at, &*batch.id)), MOST + 1)?;
    let is_full = found.len() > MOST;
    found.truncate(MOST);
    let older = found.last().filter(|_| is_full).map(|batch| address(&batch.id));
    let rows: Vec<Row> = found.into_iter().map(|batch| row(reader, batch)).collect::<Result<_, Problem>>()?;
    let more_models = models.len().saturating_sub(MODELS);
    models.truncate(MODELS);
    let here = after.as_ref().map_or_else(|| "/batches".to_owned(), |batch| address(&batch.id));
    Ok(Batches {
        frame: Frame::live(Here::Batches, here, engine),
        may_act: identity.scope.allows(Scope::Run),
        is_due: rows.iter().any(|row| row.is_open),
        rows,
        newest: after.map(|_| "/batches"),
        older,
        models,
        more_models,
    })
}

fn address(after: &str) -> String {
    format!("/batches?after={}", encoded(after))
}

fn row(reader: &Reader, batch: BatchRow) -> Result<Row, Problem> {
    let situation = Situation::of(reader, batch)?;
    let counts = counts(reader, &situation)?;
    let batch = &situation.batch;
    let why = batch.ending.as_ref().and_then(|ending| ending.errors.first());
    Ok(Row {
        href: format!("/batches/{}", batch.id),
        name: file_name(reader, batch)?,
        short_id: short_id(&batch.id),
        state: Badge::of_batch(status(&situation)),
        why: why.map(|error| super::first::told(error).text),
        model: batch.checked.as_ref().map(|checked| visible_line(&checked.model).into_owned()).unwrap_or_default(),
        total: counts.total,
        done: counts.completed + counts.failed,
        failed: counts.failed,
        created: When::new(batch.created_at),
        expires: When::new(batch.expires_at),
        is_open: batch.ending.is_none(),
    })
}

/// The name under which the input was uploaded, while its file exists.
pub(super) fn file_name(reader: &Reader, batch: &BatchRow) -> Result<String, Problem> {
    let file = reader.file(&batch.input_file)?;
    Ok(file.map_or_else(|| "deleted file".to_owned(), |file| visible_line(&file.filename).into_owned()))
}

/// The start of the digest in an id.
fn short_id(id: &str) -> String {
    id.trim_start_matches("batch_").chars().take(10).collect()
}
