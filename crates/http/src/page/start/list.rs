//! `GET /new`: the workflows that need no file.

use askama::Template;
use axum::extract::State;

use super::super::parts::{Frame, Here, Shown, show};
use super::super::runs::encoded;
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/new", Access::READ, list, Doc::new("page", "Shows the workflows that can be started"))]
}

#[derive(Template)]
#[template(path = "workflows.html")]
struct Workflows {
    frame: Frame,
    workflows: Vec<Workflow>,
}

struct Workflow {
    name: String,
    href: String,
    about: String,
    steps: usize,
}

async fn list(State(app): State<AppState>) -> Shown {
    let page = app
        .ask(|desk| {
            let mut workflows = Vec::new();
            for name in desk.workflows()? {
                // A broken one is listed too: its page says what is wrong.
                let found = desk.workflow(&name).unwrap_or_default();
                let about = found["description"].as_str().unwrap_or_default();
                workflows.push(Workflow {
                    href: format!("/new/workflow/{}", encoded(&name)),
                    about: about.trim().lines().next().unwrap_or_default().to_owned(),
                    steps: found["steps"].as_array().map_or(0, Vec::len),
                    name,
                });
            }
            Ok::<_, Problem>(Workflows { frame: Frame::form(Here::New, &desk.engine()), workflows })
        })
        .await?;
    show(&page)
}
