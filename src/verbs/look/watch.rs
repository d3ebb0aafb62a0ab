//! `stepwell watch RUN`: follows a run that another process drives.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::effort::effort;
use crate::view::event_text::describe;
use crate::view::output::{Printed, SCHEMA};
use stepwell_base::shell;
use stepwell_run::status::RunStatus;
use stepwell_store::EventRow;

const INTERVAL: Duration = Duration::from_millis(250);
const ESTIMATE_EVERY: Duration = Duration::from_secs(10);

/// Follow a run that another process drives
///
/// Prints its events from the start, and ends with the exit code of the run. Stopping `watch` does not stop the run.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
}

pub fn watch(session: &Session, args: &WatchArgs) -> Result<Exit, CliError> {
    let selector = &*args.run;
    let (reader, id) = session.find_run(selector)?;
    let mut last_seq = 0;
    let mut last_progress = String::new();
    let (mut last_left, mut looked_at) = (String::new(), None);
    loop {
        let status = reader.run(id)?.status;
        for row in reader.events_after(id, last_seq) {
            let row = row?;
            last_seq = row.seq;
            if print(session, &row)? == Printed::ReaderGone {
                return Ok(Exit::Ok);
            }
        }
        if let Some(step) = reader.running_steps(id)?.first()
            && let Some(row) = reader.newest_metric(id, &step.id)?
            && row.train_step > step.last_step.unwrap_or(0)
        {
            let progress = format!("{}  training step {}  loss {:.4}", step.id, row.train_step, row.loss);
            if progress != last_progress && !session.out.is_json() {
                session.out.message(&progress);
                last_progress = progress;
            }
        }
        if looked_at.is_none_or(|at: Instant| at.elapsed() >= ESTIMATE_EVERY) && !session.out.is_json() {
            looked_at = Some(Instant::now());
            let left = effort(&reader, &reader.run(id)?, session.settings.slots.value)?.left();
            if let Some(left) = left.filter(|left| *left != last_left) {
                session.out.message(&left);
                last_left = left;
            }
        }
        match status {
            RunStatus::Succeeded => {
                let show = shell::stepwell("show", [selector]);
                session.out.message(&format!("run {id} succeeded: {show} lists what its steps gave"));
                return Ok(Exit::Ok);
            }
            RunStatus::Failed => {
                let show = shell::stepwell("show", [selector]);
                session.out.message(&format!("run {id} failed: {show} says why"));
                return Ok(Exit::Failed);
            }
            RunStatus::Canceled => {
                session.out.message(&format!("run {id} is canceled"));
                return Ok(Exit::Canceled);
            }
            RunStatus::Interrupted => {
                session.out.message(&format!(
                    "run {id} is interrupted: {} continues it",
                    shell::stepwell("resume", [selector])
                ));
                return Ok(Exit::Interrupted);
            }
            RunStatus::Paused => {
                session
                    .out
                    .message(&format!("run {id} is paused: {} continues it", shell::stepwell("resume", [selector])));
                return Ok(Exit::Interrupted);
            }
            RunStatus::Pending | RunStatus::Running | RunStatus::Canceling => std::thread::sleep(INTERVAL),
        }
    }
}

fn print(session: &Session, row: &EventRow) -> Result<Printed, CliError> {
    if session.out.is_json() {
        let line = json!({ "schema": SCHEMA, "type": "event", "seq": row.seq, "at": row.at, "event": row.event });
        return session.out.json_line(&line);
    }
    match describe(&row.event) {
        Some(text) => session.out.stream(&format!("{}  {text}", row.at.strftime("%H:%M:%S"))),
        None => Ok(Printed::Written),
    }
}
