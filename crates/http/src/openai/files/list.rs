//! Lists files.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::form::FileForm;
use super::one::find;
use crate::openai::page::{ListPage, limit};
use crate::problem::Problem;
use crate::route::QueryOf;
use crate::state::AppState;
use stepwell_store::{FilePage, Order};

const MOST: u32 = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FileQuery {
    /// Id of the last file of the page before.
    after: Option<String>,
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
    /// `desc` (newest first, the default) or `asc`.
    order: Option<String>,
    /// Only files of this purpose.
    purpose: Option<String>,
}

pub async fn list(
    State(app): State<AppState>,
    QueryOf(query): QueryOf<FileQuery>,
) -> Result<Json<ListPage<FileForm>>, Problem> {
    let limit = limit(query.limit, MOST, MOST)?;
    let order = match query.order.as_deref() {
        None | Some("desc") => Order::NewestFirst,
        Some("asc") => Order::OldestFirst,
        Some(_) => return Err(Problem::usage("`order` is `asc` or `desc`").about("order")),
    };
    app.read(move |reader| {
        let after = query.after.map(|id| find(reader, &id).map(|file| (file.created_at, file.id)));
        let after = after.transpose().map_err(|problem| problem.about("after"))?;
        let found = reader.file_page(&FilePage { after, order, purpose: query.purpose }, limit + 1)?;
        Ok(Json(ListPage::of(found.into_iter().map(FileForm::from).collect(), limit)))
    })
    .await
}
