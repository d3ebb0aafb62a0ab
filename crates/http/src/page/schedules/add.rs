//! `POST /schedules`: a new schedule of a workflow of the server.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::super::parts::{Goes, Shown, done, parameters};
use crate::desk::{NewSchedule, WorkflowText};
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;
use stepwell_workflow::timetable::CatchUp;

pub fn routes() -> Vec<Route> {
    vec![Route::post("/schedules", Access::RUN, add, Doc::new("page", "Adds a schedule"))]
}

#[derive(Deserialize)]
struct Fields {
    name: String,
    workflow: String,
    cron: String,
    #[serde(default)]
    time_zone: String,
    /// Lines such as `steps=300`.
    #[serde(default)]
    set: String,
    #[serde(default)]
    catch_up: String,
}

async fn add(State(app): State<AppState>, headers: HeaderMap, Form(fields): Form<Fields>) -> Shown {
    let added = match new(&fields) {
        Ok(new) => app.ask(move |desk| desk.add_schedule(new)).await,
        Err(problem) => Err(problem),
    };
    done(&headers, added.map(|()| "The schedule is added.".to_owned()), "/schedules", Goes::There)
}

fn new(fields: &Fields) -> Result<NewSchedule, Problem> {
    let catch_up = match fields.catch_up.as_str() {
        "" | "latest" => CatchUp::Latest,
        "all" => CatchUp::All,
        "none" => CatchUp::None,
        other => return Err(Problem::usage(format!("`{other}` is not `all`, `latest` or `none`"))),
    };
    let time_zone = fields.time_zone.trim();
    Ok(NewSchedule {
        name: fields.name.trim().parse().map_err(|error| Problem::usage(format!("the name: {error}")))?,
        cron: fields.cron.trim().to_owned(),
        time_zone: if time_zone.is_empty() { "UTC".to_owned() } else { time_zone.to_owned() },
        workflow: WorkflowText::Named(fields.workflow.clone()),
        params: parameters(&fields.set)?,
        catch_up,
        priority: 0,
    })
}
