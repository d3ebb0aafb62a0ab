//! `stepwell schedule ...`: workflows that start by the clock.

mod add;
mod backfill;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::{shown_path, table};
use add::AddArgs;
use backfill::BackfillArgs;
use stepwell_engine::{self, timetable};
use stepwell_store::{EngineLock, ScheduleRow, Store, StoreError, Unreadable};
use stepwell_workflow::timetable::{CatchUp, Timetable};

/// Start workflows by the clock
///
/// `stepwell worker` starts the runs at their times.
#[derive(Subcommand, Debug)]
pub enum ScheduleVerb {
    Add(AddArgs),
    /// List schedules
    #[command(alias = "ls")]
    List,
    /// Show a schedule
    Show {
        /// Name of the schedule
        name: String,
    },
    /// Pause a schedule: nothing starts until it is resumed
    Pause {
        /// Name of the schedule
        name: String,
    },
    /// Resume a schedule; times that were due during the pause are skipped
    Resume {
        /// Name of the schedule
        name: String,
    },
    /// Remove a schedule; its runs stay
    Remove {
        /// Name of the schedule
        name: String,
    },
    /// Print the next due times
    Next {
        /// Name of the schedule
        name: String,
        /// Number of times to print
        #[arg(short = 'n', long, value_name = "N", default_value_t = 5)]
        count: usize,
    },
    Backfill(BackfillArgs),
}

pub fn schedule(session: &Session, verb: &ScheduleVerb) -> Result<Exit, CliError> {
    match verb {
        ScheduleVerb::Add(args) => add::add(session, args),
        ScheduleVerb::List => list(session),
        ScheduleVerb::Show { name } => show(session, name),
        ScheduleVerb::Pause { name } => {
            change(session, name, "paused", |store| store.pause_schedule(name, Timestamp::now()))
        }
        ScheduleVerb::Resume { name } => {
            change(session, name, "resumed", |store| store.resume_schedule(name, Timestamp::now()))
        }
        ScheduleVerb::Remove { name } => change(session, name, "removed", |store| store.remove_schedule(name)),
        ScheduleVerb::Next { name, count } => next(session, name, *count),
        ScheduleVerb::Backfill(args) => backfill::backfill(session, args),
    }
}

fn list(session: &Session) -> Result<Exit, CliError> {
    let (rows, unreadable) = session.reader()?.schedules()?;
    for Unreadable { name, why, .. } in &unreadable {
        session.out.message(&format!("warning: schedule `{name}` is damaged: {why}"));
    }
    let times: Vec<Option<Timetable>> = rows.iter().map(|row| timetable(&row.cron, &row.time_zone).ok()).collect();
    let cells = rows.iter().zip(&times).map(|(row, times)| {
        let next = upcoming(row, times.as_ref());
        let status = if row.paused_at.is_some() { "paused" } else { "active" };
        let next = next.zip(times.as_ref()).map(|(next, times)| due(times, next, Timestamp::now())).unwrap_or_default();
        [&row.name, &row.cron, &row.time_zone, &row.spec.name, status, &next].map(str::to_owned).to_vec()
    });
    let human = match rows.is_empty() {
        true => session.out.pasteable("no schedules yet: `stepwell schedule add --help` tells how to add one"),
        false => table(&["schedule", "cron", "time zone", "workflow", "status", "next"], cells.collect()),
    };
    let now = Timestamp::now();
    let is_overdue =
        rows.iter().zip(&times).any(|(row, times)| upcoming(row, times.as_ref()).is_some_and(|next| next < now));
    session.out.document(&human, list_json(&rows))?;
    rows.iter().filter_map(gone).for_each(|text| session.out.message(&text));
    if is_overdue && EngineLock::holder(session.state_dir()).is_none() {
        session.out.message("hint: no engine is running: `stepwell worker` starts what is overdue");
    }
    Ok(Exit::Ok)
}

/// The schedules as `list` prints them.
pub fn list_json(rows: &[ScheduleRow]) -> Value {
    let values = rows.iter().map(|row| describe(row, timetable(&row.cron, &row.time_zone).ok().as_ref()));
    json!({ "schedules": values.collect::<Vec<_>>() })
}

fn show(session: &Session, name: &str) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let row = reader.schedule(name)?;
    let times = timetable(&row.cron, &row.time_zone).ok();
    let value = describe(&row, times.as_ref());
    let mut text = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("{key:<12} {shown}\n"));
    }
    session.out.document(&text, json!({ "schedule": value }))?;
    gone(&row).iter().for_each(|text| session.out.message(text));
    Ok(Exit::Ok)
}

/// A warning if the folder with the programs of the workflow is not where it was.
fn gone(row: &ScheduleRow) -> Option<String> {
    let folder = &row.options.project.as_ref().filter(|project| !project.folder.is_dir())?.folder;
    Some(format!(
        "warning: schedule `{}` has its programs in `{}`, which does not exist: put the folder back, or remove the schedule and add \
         it from the new place",
        row.name,
        folder.display()
    ))
}

fn change(
    session: &Session,
    name: &str,
    done: &str,
    change: impl FnOnce(&mut Store) -> Result<(), StoreError>,
) -> Result<Exit, CliError> {
    change(&mut Store::open(session.state_dir())?)?;
    stepwell_engine::wake(session.state_dir());
    session.out.document(&format!("schedule {name} is {done}"), json!({ "schedule": name, "done": done }))?;
    Ok(Exit::Ok)
}

fn next(session: &Session, name: &str, count: usize) -> Result<Exit, CliError> {
    let row = session.reader()?.schedule(name)?;
    let times = timetable(&row.cron, &row.time_zone)?;
    let found: Vec<Timestamp> = times.between(Timestamp::now(), Timestamp::MAX).take(count).collect();
    let text: Vec<String> = found.iter().map(|time| local(&times, *time)).collect();
    session.out.document(&text.join("\n"), json!({ "schedule": name, "next": found }))?;
    Ok(Exit::Ok)
}

fn upcoming(row: &ScheduleRow, times: Option<&Timetable>) -> Option<Timestamp> {
    times.filter(|_| row.paused_at.is_none())?.next_after(row.done_until)
}

/// The next time, and a word about one that no worker has started.
fn due(times: &Timetable, next: Timestamp, now: Timestamp) -> String {
    match (next < now, times.next_after(now)) {
        (false, _) => local(times, next),
        (true, Some(later)) => format!("{} (overdue since {})", local(times, later), local(times, next)),
        (true, None) => format!("overdue since {}", local(times, next)),
    }
}

fn local(times: &Timetable, at: Timestamp) -> String {
    at.to_zoned(times.zone().clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn describe(row: &ScheduleRow, times: Option<&Timetable>) -> Value {
    let catch_up = match row.options.catch_up {
        CatchUp::All => "all",
        CatchUp::Latest => "latest",
        CatchUp::None => "none",
    };
    json!({
        "name": row.name,
        "cron": row.cron,
        "time_zone": row.time_zone,
        "workflow": row.spec.name,
        "params": row.spec.params,
        "folder": row.options.project.as_ref().map(|project| shown_path(&project.folder)),
        "catch_up": catch_up,
        "priority": row.options.priority,
        "created_at": row.created_at,
        "paused_at": row.paused_at,
        "done_until": row.done_until,
        "next": upcoming(row, times),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_past_is_overdue() {
        let times = timetable("0 3 * * *", "UTC").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-30T05:00:00Z");
        assert_eq!(due(&times, at("2026-12-01T03:00:00Z"), now), "2026-12-01 03:00:00 UTC");
        assert_eq!(
            due(&times, at("2026-11-29T03:00:00Z"), now),
            "2026-12-01 03:00:00 UTC (overdue since 2026-11-29 03:00:00 UTC)"
        );
    }
}
