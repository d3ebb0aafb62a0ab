//! `stepwell schedule backfill NAME --from TIME --to TIME`

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::words::count;
use stepwell_engine::{submit_scheduled, timetable};
use stepwell_store::{Store, Submitted};
use stepwell_workflow::timetable::Timetable;

/// A larger backfill is most likely a mistake.
const MAXIMUM_BACKFILL: usize = 1000;

/// Submit runs for past due times that have none
///
/// Repeating it does no harm. `stepwell worker` runs what is submitted.
#[derive(Args, Debug)]
pub struct BackfillArgs {
    /// Name of the schedule
    pub name: String,
    /// First time, such as `2026-11-21`, `2026-11-21T03:00` (in the schedule's time zone) or `2026-11-21T03:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// Last time, in the same forms; both ends count
    #[arg(long, value_name = "TIME")]
    pub to: String,
}

pub fn backfill(session: &Session, args: &BackfillArgs) -> Result<Exit, CliError> {
    let BackfillArgs { name, from, to } = args;
    let mut store = Store::open(session.state_dir())?;
    let row = store.reader().schedule(name)?;
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
    let text = format!("{} submitted; {there} there already", count(started.len() as u64, "run"));
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
