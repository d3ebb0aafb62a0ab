//! Lists batches, and shows one.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::form::BatchForm;
use super::situation::{Situation, find};
use crate::openai::page::{ListPage, limit};
use crate::problem::Problem;
use crate::route::{PathOf, QueryOf};
use crate::state::AppState;

const MOST: u32 = 100;
const USUAL: u32 = 20;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BatchQuery {
    /// Id of the last batch of the page before.
    after: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

pub async fn list(
    State(app): State<AppState>,
    QueryOf(query): QueryOf<BatchQuery>,
) -> Result<Json<ListPage<BatchForm>>, Problem> {
    let limit = limit(query.limit, USUAL, MOST)?;
    app.read(move |reader| {
        let after = query.after.map(|id| find(reader, &id).map(|found| found.batch)).transpose();
        let after = after.map_err(|problem| problem.about("after"))?;
        let page = reader.batch_page(after.as_ref().map(|batch| (batch.created_at, &*batch.id)), limit + 1)?;
        let forms = page.into_iter().map(|batch| BatchForm::of(reader, &Situation::of(reader, batch)?));
        Ok(Json(ListPage::of(forms.collect::<Result<_, Problem>>()?, limit)))
    })
    .await
}

pub async fn show(State(app): State<AppState>, PathOf(batch): PathOf<String>) -> Result<Json<BatchForm>, Problem> {
    app.read(move |reader| Ok(Json(BatchForm::of(reader, &find(reader, &batch)?)?))).await
}
