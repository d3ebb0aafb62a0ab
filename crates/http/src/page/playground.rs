//! `GET /playground`: a model to try. Its script sends what a client of OpenAI's API sends.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use serde::Deserialize;

use super::parts::{Frame, Here, Shown, show};
use crate::guard::Identity;
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use crate::state::AppState;
use stepwell_base::scope::Scope;

/// Models to choose from.
const MOST: usize = 200;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/playground", Access::READ, playground, Doc::new("page", "Shows a form to try a model"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    model: String,
}

#[derive(Template)]
#[template(path = "playground.html")]
struct Playground {
    frame: Frame,
    may_ask: bool,
    models: Vec<Choice>,
    /// The model that the address names, if it is gone.
    missing: Option<String>,
    parameters: &'static [Parameter],
}

struct Choice {
    name: String,
    is_chosen: bool,
}

/// A field for a number of the request; an empty one leaves it to the model.
struct Parameter {
    name: &'static str,
    label: &'static str,
    value: &'static str,
    hint: &'static str,
    /// Bounds and step, as `input` has them.
    bounds: (&'static str, &'static str, &'static str),
}

const fn parameter(
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    bounds: (&'static str, &'static str, &'static str),
) -> Parameter {
    Parameter { name, label, value: "", hint, bounds }
}

const PARAMETERS: &[Parameter] = &[
    Parameter { value: "256", ..parameter("max_tokens", "Most tokens", "of the answer", ("1", "1048576", "1")) },
    parameter("temperature", "Temperature", "0 takes the likeliest token", ("0", "2", "0.01")),
    parameter("top_p", "Top p", "share of likely tokens", ("0.01", "1", "0.01")),
    parameter("top_k", "Top k", "number of likely tokens", ("0", "1000000", "1")),
    parameter("min_p", "Min p", "share of the likeliest", ("0", "1", "0.01")),
    parameter("repetition_penalty", "Repetition penalty", "above 1 repeats less", ("0.01", "10", "0.01")),
    parameter("presence_penalty", "Presence penalty", "for tokens that were there", ("-2", "2", "0.1")),
    parameter("frequency_penalty", "Frequency penalty", "for each time", ("-2", "2", "0.1")),
    parameter("seed", "Seed", "the same seed, the same answer", ("-9007199254740991", "9007199254740991", "1")),
];

async fn playground(
    State(app): State<AppState>,
    Extension(identity): Extension<Identity>,
    QueryOf(query): QueryOf<Query>,
) -> Shown {
    let (engine, models) = app.ask(|desk| Ok::<_, Problem>((desk.engine(), desk.models()?))).await?;
    let is_known = models.iter().any(|model| model.id == query.model);
    let choice = |name: String| Choice { is_chosen: name == query.model, name };
    let page = Playground {
        frame: Frame::form(Here::Playground, &engine),
        may_ask: identity.scope.allows(Scope::Run),
        models: models.into_iter().take(MOST).map(|model| choice(model.id)).collect(),
        missing: (!query.model.is_empty() && !is_known).then(|| query.model.chars().take(80).collect()),
        parameters: PARAMETERS,
    };
    show(&page)
}
