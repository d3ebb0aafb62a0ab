//! `stepwell schedule ...`: workflows that start by the clock.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{ScheduleAddArgs, ScheduleVerb};
use super::error::CliError;
use super::exit_code::Exit;
use super::look_ahead::{Starts, look_ahead};
use super::output::table;
use super::session::Session;
use super::workflow_source;
use stepwell_engine::{self, submit_scheduled, timetable};
use stepwell_store::{ScheduleOptions, ScheduleRow, Store, StoreError, Submitted, Unreadable};
use stepwell_workflow::timetable::{CatchUp, Timetable};

/// A larger backfill is most likely a mistake.
const MAXIMUM_BACKFILL: usize = 1000;

pub fn schedule(session: &Session, verb: &ScheduleVerb) -> Result<Exit, CliError> {
    match verb {
        ScheduleVerb::Add(args) => add(session, args),
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
        ScheduleVerb::Backfill { name, from, to } => backfill(session, name, from, to),
    }
}

fn add(session: &Session, args: &ScheduleAddArgs) -> Result<Exit, CliError> {
    let times = timetable(&args.cron, &args.time_zone)?;
    let now = Timestamp::now();
    let Some(first) = times.next_after(now) else {
        return Err(CliError::usage(format!("`{}` is never due", args.cron)).hint("does that day exist?"));
    };
    let spec = workflow_source::load(session, &args.workflow, &args.set)?;
    look_ahead(session, &spec, Starts::Later)?;
    let row = ScheduleRow {
        name: args.name.to_string(),
        cron: args.cron.clone(),
        time_zone: args.time_zone.clone(),
        spec,
        options: ScheduleOptions { catch_up: args.catch_up, priority: args.priority },
        created_at: now,
        paused_at: None,
        done_until: now,
    };
    Store::open(session.state_dir())?.add_schedule(&row)?;
    stepwell_engine::wake(session.state_dir());
    let text = format!("schedule {} starts {} next at {}", row.name, row.spec.name, local(&times, first));
    session.out.document(&text, json!({ "schedule": describe(&row, Some(&times)) }))?;
    session.out.message("hint: `stepwell worker` has to be running at that time, or catches up later");
    Ok(Exit::Ok)
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
        let next = next.zip(times.as_ref()).map(|(next, times)| local(times, next)).unwrap_or_default();
        [&row.name, &row.cron, &row.time_zone, &row.spec.name, status, &next].map(str::to_owned).to_vec()
    });
    let human = match rows.is_empty() {
        true => session.out.pasteable("no schedules yet: `stepwell schedule add --help` tells how to add one"),
        false => table(&["schedule", "cron", "time zone", "workflow", "status", "next"], cells.collect()),
    };
    let values: Vec<Value> = rows.iter().zip(&times).map(|(row, times)| describe(row, times.as_ref())).collect();
    session.out.document(&human, json!({ "schedules": values }))?;
    Ok(Exit::Ok)
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
    Ok(Exit::Ok)
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

fn backfill(session: &Session, name: &str, from: &str, to: &str) -> Result<Exit, CliError> {
    let mut store = Store::open(session.state_dir())?;
    let row = store.schedule(name)?;
    let times = timetable(&row.cron, &row.time_zone)?;
    let (from, to) = (moment(from, &times)?, moment(to, &times)?);
    if to > Timestamp::now() {
        return Err(CliError::usage("`--to` is in the future").hint("times to come are started by `stepwell worker`"));
    }
    // Both ends count.
    let before = from.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN);
    let due: Vec<Timestamp> = times.between(before, to).take(MAXIMUM_BACKFILL + 1).collect();
    if due.len() > MAXIMUM_BACKFILL {
        return Err(CliError::usage(format!("these are more than {MAXIMUM_BACKFILL} times"))
            .hint("`--from` and `--to` closer to each other"));
    }
    let mut started = Vec::new();
    for time in &due {
        if let (_, Submitted::New) = submit_scheduled(&mut store, &row, *time)? {
            started.push(*time);
        }
    }
    stepwell_engine::wake(session.state_dir());
    let there = due.len() - started.len();
    let text = format!("{} runs are submitted; {there} were there already", started.len());
    session.out.document(&text, json!({ "schedule": name, "submitted": started, "existing": there }))?;
    session.out.message("hint: `stepwell worker` runs what is pending");
    Ok(Exit::Ok)
}

/// Parses a time with an offset, or a wall-clock time or date in the schedule's time zone.
fn moment(text: &str, times: &Timetable) -> Result<Timestamp, CliError> {
    let civil = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(times.zone().clone()).ok();
    let found = text.parse::<Timestamp>().ok().or_else(|| civil().map(|zoned| zoned.timestamp()));
    found.ok_or_else(|| {
        CliError::usage(format!("`{text}` is not a time"))
            .hint("write `2026-11-21`, `2026-11-21T03:00` or `2026-11-21T03:00:00Z`")
    })
}

fn upcoming(row: &ScheduleRow, times: Option<&Timetable>) -> Option<Timestamp> {
    times.filter(|_| row.paused_at.is_none())?.next_after(row.done_until)
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
        "catch_up": catch_up,
        "priority": row.options.priority,
        "created_at": row.created_at,
        "paused_at": row.paused_at,
        "done_until": row.done_until,
        "next": upcoming(row, times),
    })
}
