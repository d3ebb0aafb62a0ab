//! `GET` and `POST /new/workflow/{name}`: a form made from the parameters of a workflow.

use std::collections::BTreeSet;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use uuid::Uuid;

use super::super::act::run_name;
use super::super::parts::{Frame, Goes, Here, Shown, done, show};
use super::super::runs::encoded;
use super::field::{Group, changed, groups, place};
use super::mistakes::messages;
use crate::desk::{Desk, Submit, WorkflowText};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::remark::Tag;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/new/workflow/{name}", Access::RUN, form, Doc::new("page", "Shows the form of a workflow")),
        Route::post("/new/workflow/{name}", Access::RUN, submit, Doc::new("page", "Starts a workflow")),
    ]
}

#[derive(Template)]
#[template(path = "new.html")]
struct New {
    frame: Frame,
    name: String,
    href: String,
    text_href: String,
    about: String,
    steps: Vec<String>,
    groups: Vec<Group>,
    problems: Vec<String>,
    run_name: String,
    tags: String,
    key: String,
}

async fn form(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Shown {
    let page = app.ask(move |desk| page(desk, &name, &[], None)).await?;
    show(&page)
}

async fn submit(
    State(app): State<AppState>,
    PathOf(name): PathOf<String>,
    headers: HeaderMap,
    Form(typed): Form<Vec<(String, String)>>,
) -> Shown {
    let (workflow, fields) = (name.clone(), typed.clone());
    let made = app
        .ask(move |desk| {
            let new = new(desk, &workflow, &fields)?;
            desk.submit(new).map_err(Problem::from)
        })
        .await;
    match made {
        Ok(made) => done(&headers, Ok("Submitted.".to_owned()), &format!("/runs/{}", made.run), Goes::There),
        Err(problem) => {
            let status = problem.status();
            let page = app.ask(move |desk| page(desk, &name, &typed, Some(&problem))).await?;
            Ok(refused(status, show(&page)?))
        }
    }
}

/// A form with its problems, under the status of the refusal.
pub fn refused(status: StatusCode, page: Response) -> Response {
    (status, page.into_response()).into_response()
}

fn new(desk: &dyn Desk, workflow: &str, typed: &[(String, String)]) -> Result<Submit, Problem> {
    let described = desk.workflow(workflow)?;
    Ok(Submit {
        workflow: WorkflowText::Named(workflow.to_owned()),
        params: changed(&described, typed),
        name: run_name(of(typed, "name"))?,
        tags: tags(of(typed, "tags"))?,
        priority: 0,
        idempotency_key: Some(of(typed, "key").to_owned()).filter(|key| !key.is_empty()),
    })
}

pub fn of<'a>(typed: &'a [(String, String)], name: &str) -> &'a str {
    typed.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
}

/// Words, separated by spaces or commas.
pub fn tags(text: &str) -> Result<BTreeSet<Tag>, Problem> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(|error| Problem::usage(format!("{error}")))).collect()
}

fn page(desk: &dyn Desk, name: &str, typed: &[(String, String)], problem: Option<&Problem>) -> Result<New, Problem> {
    let workflow = desk.workflow(name)?;
    let mut groups = groups(&workflow, typed);
    let problems = problem.map(|problem| place(&mut groups, messages(problem))).unwrap_or_default();
    let steps = workflow["steps"].as_array().into_iter().flatten();
    Ok(New {
        frame: Frame::form(Here::New, &desk.engine()),
        href: format!("/new/workflow/{}", encoded(name)),
        text_href: format!("/new/text?from={}", encoded(name)),
        name: name.to_owned(),
        about: workflow["description"].as_str().unwrap_or_default().trim().to_owned(),
        steps: steps.filter_map(|step| step["id"].as_str().map(str::to_owned)).collect(),
        groups,
        problems,
        run_name: of(typed, "name").to_owned(),
        tags: of(typed, "tags").to_owned(),
        // The same form sent twice is one run.
        key: match of(typed, "key") {
            "" => Uuid::now_v7().to_string(),
            key => key.to_owned(),
        },
    })
}

/// The text of a workflow that needs no file.
pub fn text_of(workflow: &Value) -> String {
    workflow["text"].as_str().unwrap_or_default().to_owned()
}
