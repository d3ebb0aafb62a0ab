//! Tags, notes and pins of a run.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::forms::RunForm;
use super::submit::tags;
use crate::problem::Problem;
use crate::route::{Access, Body, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_store::Remark;

pub fn routes() -> Vec<Route> {
    vec![Route::patch(
        "/api/v1/runs/{run}",
        Access::RUN,
        remark,
        Doc::new("runs", "Changes the tags, the note or the pin of a run").body::<RemarkBody>().returns::<RunForm>(),
    )]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemarkBody {
    #[serde(default)]
    add_tags: Vec<String>,
    #[serde(default)]
    remove_tags: Vec<String>,
    /// The new note; an empty one removes it.
    note: Option<String>,
    /// Protects the run from clean-up, or no longer.
    keep: Option<bool>,
}

async fn remark(
    State(app): State<AppState>,
    PathOf(run): PathOf<String>,
    Body(body): Body<RemarkBody>,
) -> Result<Json<RunForm>, Problem> {
    let mut remarks = Vec::new();
    if !body.add_tags.is_empty() || !body.remove_tags.is_empty() {
        remarks.push(Remark::Tags { add: tags(&body.add_tags)?, remove: tags(&body.remove_tags)? });
    }
    match body.note.as_deref() {
        Some("") => remarks.push(Remark::NoNote),
        Some(note) => {
            let note = note.parse().map_err(|error| Problem::usage(format!("`note`: {error}")))?;
            remarks.push(Remark::Note(note));
        }
        None => {}
    }
    match body.keep {
        Some(true) => remarks.push(Remark::Keep),
        Some(false) => remarks.push(Remark::KeepNoLonger),
        None => {}
    }
    app.write(move |store| {
        let run = store.reader().resolve_run(&run)?;
        for remark in &remarks {
            store.remark(run, remark, Timestamp::now())?;
        }
        Ok(Json(RunForm::new(&store.reader().run(run)?, &store.reader().annotation(run)?)?))
    })
    .await
}
