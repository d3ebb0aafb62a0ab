//! `GET /schedules`.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use jiff::tz::TimeZone;

use super::super::parts::{Frame, Here, Shown, When, show};
use super::super::runs::encoded;
use crate::desk::EngineView;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;
use stepwell_base::scope::Scope;
use stepwell_store::{Reader, ScheduleRow};
use stepwell_workflow::timetable::Timetable;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/schedules", Access::READ, schedules, Doc::new("page", "Shows the schedules"))]
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules {
    frame: Frame,
    may_act: bool,
    rows: Vec<Row>,
    unreadable: usize,
    /// Names of the workflows that can be scheduled here.
    workflows: Vec<String>,
}

struct Row {
    name: String,
    /// The address of what a person does with it.
    href: String,
    workflow: String,
    cron: String,
    time_zone: String,
    next: Option<When>,
    is_paused: bool,
    /// The address of its runs.
    runs: String,
}

async fn schedules(State(app): State<AppState>, Extension(identity): Extension<Identity>) -> Shown {
    let (engine, workflows) = app.ask(|desk| Ok::<_, Problem>((desk.engine(), desk.workflows()?))).await?;
    let page = app.read(move |reader| page(reader, &engine, &identity, workflows)).await?;
    show(&page)
}

fn page(
    reader: &Reader,
    engine: &EngineView,
    identity: &Identity,
    workflows: Vec<String>,
) -> Result<Schedules, Problem> {
    let (rows, unreadable) = reader.schedules()?;
    Ok(Schedules {
        frame: Frame::live(Here::Schedules, "/schedules", engine),
        may_act: identity.scope.allows(Scope::Run),
        rows: rows.iter().map(row).collect(),
        unreadable: unreadable.len(),
        workflows,
    })
}

fn row(schedule: &ScheduleRow) -> Row {
    let next = || {
        let zone = TimeZone::get(&schedule.time_zone).ok()?;
        Timetable::new(&schedule.cron, zone).ok()?.next_after(schedule.done_until)
    };
    Row {
        name: schedule.name.clone(),
        href: format!("/schedules/{}", encoded(&schedule.name)),
        workflow: schedule.spec.name.clone(),
        cron: schedule.cron.clone(),
        time_zone: schedule.time_zone.clone(),
        next: next().map(When::new),
        is_paused: schedule.paused_at.is_some(),
        runs: format!("/runs?workflow={}", encoded(&schedule.spec.name)),
    }
}
