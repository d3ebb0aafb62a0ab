//! Adds a schedule of a checked workflow.

use jiff::Timestamp;

use super::load_workflow::Loaded;
use super::look_ahead::{Starts, look_ahead};
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::names::RunName;
use stepwell_engine::timetable;
use stepwell_store::{ScheduleOptions, ScheduleRow, Store};
use stepwell_workflow::timetable::CatchUp;

pub struct ScheduleTimes {
    pub name: RunName,
    pub cron: String,
    pub time_zone: String,
    pub catch_up: CatchUp,
    pub priority: i32,
}

/// Stores the schedule and wakes the engine; returns it with its first time.
///
/// # Errors
/// `Usage` for times that never come, `ScheduleExists`, and those of the check of the workflow.
pub fn add_schedule(
    session: &Session,
    loaded: Loaded,
    times: ScheduleTimes,
) -> Result<(ScheduleRow, Timestamp), CliError> {
    let table = timetable(&times.cron, &times.time_zone)?;
    let now = Timestamp::now();
    let Some(first) = table.next_after(now) else {
        return Err(CliError::usage(format!("`{}` is never due", times.cron)).hint("does that day exist?"));
    };
    look_ahead(session, &loaded, Starts::Later)?;
    let (project, _) = loaded.project(session);
    let row = ScheduleRow {
        name: times.name.to_string(),
        cron: times.cron,
        time_zone: times.time_zone,
        spec: loaded.spec,
        options: ScheduleOptions { catch_up: times.catch_up, priority: times.priority, project },
        created_at: now,
        paused_at: None,
        done_until: now,
    };
    Store::open(session.state_dir())?.add_schedule(&row)?;
    stepwell_engine::wake(session.state_dir());
    Ok((row, first))
}
