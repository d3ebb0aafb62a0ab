//! `POST /runs/{run}/fork`: a new run that branches off at a step, or at a training step in it.

use std::collections::BTreeSet;

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::super::parts::{Goes, Shown, done, parameters};
use crate::desk::{Derived, DerivedFrom};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_base::names::RunName;

pub fn routes() -> Vec<Route> {
    vec![Route::post("/runs/{run}/fork", Access::RUN, fork, Doc::new("page", "Forks a run"))]
}

#[derive(Deserialize)]
struct Fork {
    at: String,
    #[serde(default)]
    set: String,
    #[serde(default)]
    name: String,
}

async fn fork(
    State(app): State<AppState>,
    PathOf(run): PathOf<RunId>,
    headers: HeaderMap,
    Form(form): Form<Fork>,
) -> Shown {
    let made = match derived(run, &form) {
        Ok(derived) => app.ask(move |desk| desk.derive(derived)).await,
        Err(problem) => Err(problem),
    };
    let to = made.as_ref().map_or_else(|_| format!("/runs/{run}"), |new| format!("/runs/{}", new.run));
    done(&headers, made.map(|_| "The fork is submitted.".to_owned()), &to, Goes::There)
}

fn derived(run: RunId, form: &Fork) -> Result<Derived, Problem> {
    let (step, train_step) = match form.at.rsplit_once(':') {
        None => (form.at.clone(), None),
        Some((step, at)) => {
            let at = at.parse().map_err(|_| Problem::usage(format!("`{at}` is not a training step")))?;
            (step.to_owned(), Some(at))
        }
    };
    Ok(Derived {
        run,
        from: DerivedFrom::Fork { step, train_step },
        params: parameters(&form.set)?,
        name: run_name(&form.name)?,
        tags: BTreeSet::new(),
    })
}

/// The name that a person typed, if any.
pub fn run_name(text: &str) -> Result<Option<RunName>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| Problem::usage(format!("{error}")))
}
