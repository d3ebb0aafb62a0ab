//! `stepwell logs [RUN [STEP]] [-f]`

mod follower;

use std::time::Duration;

use clap::Args;

use crate::drive::mistakes::Words;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::Printed;
use crate::view::value_text::cut;
use follower::{Follower, Place};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_run::item::item_name;
use stepwell_store::{AttemptedStep, Reader};

const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
/// Most characters of an item in the title of a log.
const ITEM_CHARACTERS: usize = 60;

/// Print the output of a run's attempts
///
/// Each attempt has one log with both of its streams. A pipe or a file receives the bytes unchanged.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step; an item of a fan-out is STEP[ITEM] or STEP[POSITION]
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Continue to print until the run ends
    #[arg(short, long)]
    pub follow: bool,
    /// Print only the last N lines of each attempt
    #[arg(long, short_alias = 'n', aliases = ["lines", "last"], value_name = "N")]
    pub tail: Option<u64>,
    /// Only this attempt of each step; the first is 1
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
}

pub fn logs(session: &Session, args: &LogsArgs) -> Result<Exit, CliError> {
    let words = Words { verb: "logs", run: &args.run, step: args.step.as_deref() };
    let (reader, id, only) = words.find_kept(session)?;
    // Read this before the steps: a later start has a later event.
    let mut seen = reader.newest_event()?;
    let mut followers: Vec<Follower> = Vec::new();
    let (mut printed, mut most_attempts) = (false, 0);
    for AttemptedStep { id: step, item, attempts, is_running } in reader.attempted_steps(id, only.as_ref())? {
        most_attempts = most_attempts.max(attempts);
        for attempt in (1..=attempts).filter(|attempt| args.attempt.is_none_or(|only| only == *attempt)) {
            let item = item.as_ref().map(|item| cut(&item_name(item), ITEM_CHARACTERS));
            let mut follower = Follower::new(session.state_dir(), Place { run: id, step: &step, item, attempt });
            if let Some(lines) = args.tail {
                follower.skip_to_last(lines)?;
            }
            if follower.print(&session.out)? == Printed::ReaderGone {
                return Ok(Exit::Ok);
            }
            printed |= follower.has_content();
            if args.follow && is_running && attempt == attempts {
                followers.push(follower);
            } else {
                follower.finish(&session.out)?;
            }
        }
    }
    if let Some(attempt) = args.attempt.filter(|attempt| !args.follow && *attempt > most_attempts) {
        return Err(CliError::not_found(format!("there is no attempt {attempt}: the last one is {most_attempts}")));
    }
    if !printed && (followers.is_empty() || !reader.series_steps(id, None)?.is_empty()) {
        say_where(session, &reader, id, &args.run, only.as_ref())?;
    }
    if !args.follow {
        return Ok(Exit::Ok);
    }
    loop {
        std::thread::sleep(FOLLOW_INTERVAL);
        // Read the status before the logs, so that everything written up to the end of the run is printed.
        let ended = !reader.run(id)?.status.is_active();
        for row in reader.events_after(id, seen) {
            let row = row?;
            seen = row.seq;
            let Event::Step(StepEvent { step, kind, .. }) = &row.event else { continue };
            if only.as_ref().is_some_and(|only| !is_within(step, only)) {
                continue;
            }
            if let StepEventKind::AttemptStarted { attempt, .. } = kind {
                if args.attempt.is_some_and(|only| only != *attempt) {
                    continue;
                }
                let item = item_of(&reader, id, step)?;
                let place = Place { run: id, step, item, attempt: *attempt };
                followers.push(Follower::new(session.state_dir(), place));
            } else if ends_attempt(kind) {
                followers.iter_mut().filter(|follower| follower.step() == step).for_each(Follower::attempt_ended);
            }
        }
        for follower in &mut followers {
            if follower.print(&session.out)? == Printed::ReaderGone {
                return Ok(Exit::Ok);
            }
            if ended || !follower.may_grow() {
                follower.finish(&session.out)?;
            }
        }
        if ended {
            return Ok(Exit::Ok);
        }
        followers.retain(Follower::may_grow);
    }
}

/// Says where results are if there is no log: a training reports its loss as metrics and prints nothing.
fn say_where(session: &Session, reader: &Reader, id: RunId, run: &str, step: Option<&StepId>) -> Result<(), CliError> {
    let has_series = !reader.series_steps(id, None)?.is_empty();
    let about: Vec<&str> = std::iter::once(run).chain(step.map(StepId::as_str)).collect();
    let what = match step {
        Some(step) => format!("step `{step}` has written no log"),
        None => "no step has written a log".to_owned(),
    };
    session.out.message(&match (step, has_series) {
        (Some(step), true) if !reader.has_series(id, step)? => what,
        (_, true) => format!("{what}: {} shows its loss and other metrics", shell::stepwell("metrics", about)),
        (_, false) => what,
    });
    Ok(())
}

fn item_of(reader: &Reader, run: RunId, step: &StepId) -> Result<Option<String>, CliError> {
    let item = reader.find_step(run, step)?.and_then(|step| step.item);
    Ok(item.map(|item| cut(&item_name(&item), ITEM_CHARACTERS)))
}

/// True for a step itself, and for the items of a fan-out.
fn is_within(step: &StepId, only: &StepId) -> bool {
    step.as_str().strip_prefix(only.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

fn ends_attempt(kind: &StepEventKind) -> bool {
    matches!(
        kind,
        StepEventKind::AttemptFailed { .. }
            | StepEventKind::AttemptReleased { .. }
            | StepEventKind::Succeeded { .. }
            | StepEventKind::Failed { .. }
            | StepEventKind::Canceled
    )
}
