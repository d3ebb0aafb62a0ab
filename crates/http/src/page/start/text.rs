//! `GET` and `POST /new/text`: the text of a workflow, checked or started.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Map;
use uuid::Uuid;

use super::super::act::run_name;
use super::super::parts::{Frame, Goes, Here, Shown, done, show};
use super::form::{refused, tags, text_of};
use super::mistakes::{Mistake, count, mistakes};
use crate::desk::{Submit, WorkflowText};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use crate::state::AppState;

const EXAMPLE: &str =
    "name = \"hello\"\n\n[[step]]\nid = \"greet\"\nkind = \"command\"\nwith.argv = [\"echo\", \"hello\"]\n";

pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/new/text", Access::RUN, form, Doc::new("page", "Shows a form for the text of a workflow")),
        Route::post("/new/text", Access::RUN, submit, Doc::new("page", "Checks or starts the text of a workflow")),
    ]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    from: String,
}

#[derive(Deserialize)]
struct Fields {
    text: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    tags: String,
    #[serde(default)]
    key: String,
    /// `check` or `start`.
    #[serde(default)]
    what: String,
}

#[derive(Template)]
#[template(path = "new_text.html")]
struct NewText {
    frame: Frame,
    text: String,
    run_name: String,
    tags: String,
    key: String,
    mistakes: Vec<Mistake>,
    more: u64,
    is_fine: Option<String>,
}

async fn form(State(app): State<AppState>, QueryOf(query): QueryOf<Query>) -> Shown {
    let page = app
        .ask(move |desk| {
            let text = match query.from.as_str() {
                "" => EXAMPLE.to_owned(),
                name => text_of(&desk.workflow(name)?),
            };
            Ok::<_, Problem>(NewText {
                frame: Frame::form(Here::New, &desk.engine()),
                text,
                run_name: String::new(),
                tags: String::new(),
                key: Uuid::now_v7().to_string(),
                mistakes: Vec::new(),
                more: 0,
                is_fine: None,
            })
        })
        .await?;
    show(&page)
}

async fn submit(State(app): State<AppState>, headers: HeaderMap, Form(fields): Form<Fields>) -> Shown {
    let text = fields.text.replace("\r\n", "\n");
    let engine = app.ask(|desk| Ok::<_, Problem>(desk.engine())).await?;
    let mut page = NewText {
        frame: Frame::form(Here::New, &engine),
        text: text.clone(),
        run_name: fields.name.clone(),
        tags: fields.tags.clone(),
        key: fields.key.clone(),
        mistakes: Vec::new(),
        more: 0,
        is_fine: None,
    };
    let answer = if fields.what == "check" {
        let checked = app.ask(move |desk| desk.validate(&text, &Map::new())).await;
        checked.map(|workflow| page.is_fine = Some(fine(&workflow)))
    } else {
        let made = match new(text, &fields) {
            Ok(new) => app.ask(move |desk| desk.submit(new)).await,
            Err(problem) => Err(problem),
        };
        match made {
            Ok(made) => {
                return done(&headers, Ok("Submitted.".to_owned()), &format!("/runs/{}", made.run), Goes::There);
            }
            Err(problem) => Err(problem),
        }
    };
    match answer {
        Ok(()) => show(&page),
        Err(problem) => {
            page.mistakes = mistakes(&problem);
            page.more = count(&problem).saturating_sub(page.mistakes.len() as u64);
            Ok(refused(problem.status(), show(&page)?))
        }
    }
}

fn fine(workflow: &serde_json::Value) -> String {
    let steps = workflow["steps"].as_array().map_or(0, Vec::len);
    let plural = if steps == 1 { "" } else { "s" };
    format!("{} is valid: {steps} step{plural}.", workflow["workflow"].as_str().unwrap_or("The workflow"))
}

fn new(text: String, fields: &Fields) -> Result<Submit, Problem> {
    Ok(Submit {
        workflow: WorkflowText::Text(text),
        params: Map::new(),
        name: run_name(&fields.name)?,
        tags: tags(&fields.tags)?,
        priority: 0,
        idempotency_key: Some(fields.key.clone()).filter(|key| !key.is_empty()),
    })
}
