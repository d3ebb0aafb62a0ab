//! `stepwell resume [RUN]`

use std::time::Duration;

use clap::Args;

use crate::arguments::LogArgs;
use crate::drive::edited::say_if_edited;
use crate::drive::foreground::lock;
use crate::drive::queue::continue_run::continue_run;
use crate::drive::queue::detach::Detach;
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle;
use crate::view::series::metric_lines;
use crate::view::summary;
use stepwell_base::duration;
use stepwell_base::shell;
use stepwell_engine::{self, Asked, Start};
use stepwell_run::request::Request;
use stepwell_run::status::RunStatus;
use stepwell_store::RunRow;
use stepwell_workflow::budget::Budget;

/// Resume an interrupted, paused or failed run
///
/// Steps that succeeded are kept, and the others continue from their newest checkpoint. If another process is the engine
/// of the state directory, that one resumes the run and this one watches it to its end.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Leave safe mode, which the engine enters after repeated crashes
    #[arg(long)]
    pub force: bool,
    /// Raise the run's compute budget to this, such as `20h`
    #[arg(long, value_name = "TIME", value_parser = duration_of)]
    pub maximum_compute: Option<Duration>,
    /// Raise the run's cost budget to this
    #[arg(long, value_name = "COST", allow_negative_numbers = true)]
    pub maximum_cost: Option<f64>,
    #[command(flatten)]
    pub detach: Detach,
    #[command(flatten)]
    pub logs: LogArgs,
}

pub fn resume(session: &Session, args: &ResumeArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let run = reader.run(id)?;
    drop(reader);
    if !matches!(run.status, RunStatus::Succeeded | RunStatus::Canceled) {
        if args.force {
            stepwell_engine::leave_safe_mode(session.state_dir())?;
        }
        // In safe mode no engine would continue the run, so fail before changing anything.
        drop(lock(session)?);
    }
    raise_budget(session, &run, args)?;
    say_if_edited(session, run.options.project.as_ref());
    match run.status {
        RunStatus::Succeeded => {
            session.out.message(&format!("run {id} ({}) has succeeded already", run.name));
            metric_lines(session, id)?;
            summary::succeeded(session, id)?;
            Ok(Exit::Ok)
        }
        RunStatus::Canceled => {
            let error = CliError::new(ErrorKind::Canceled, format!("run {id} was canceled"));
            Err(error.hints(run_again(session, &run)))
        }
        _ => {
            session.out.message(&format!("resuming run {id} ({})", run.name));
            continue_run(session, id, Start::Resume, args.detach.drive())
        }
    }
}

/// Suggests a new run from the first step; the workflow file may have moved.
fn run_again(session: &Session, run: &RunRow) -> Option<String> {
    let reader = session.reader().ok()?;
    let first = reader.spec(run.id).ok()?.steps.into_iter().next()?;
    let verb = format!("rerun --from-step={}", shell::quote(first.id.as_str()));
    Some(format!("{} runs it again as a new run", shell::stepwell(&verb, [&*handle(&reader, run)])))
}

/// Raises the budget before the run continues; otherwise it would be paused again at once.
fn raise_budget(session: &Session, run: &RunRow, args: &ResumeArgs) -> Result<(), CliError> {
    let to = Budget { maximum_compute: args.maximum_compute, maximum_cost: args.maximum_cost, cost_per_hour: None };
    if to.is_unlimited() {
        return Ok(());
    }
    match stepwell_engine::ask(session.state_dir(), run.id, &Request::RaiseBudget { to })? {
        Asked::Done if run.status == RunStatus::Paused => {
            stepwell_engine::ask(session.state_dir(), run.id, &Request::Resume)?;
            Ok(())
        }
        Asked::Done => Ok(()),
        Asked::Refused(why) => Err(CliError::failed(format!("the budget of run {} stays: {why}", run.id))),
        Asked::Unanswered => Err(CliError::failed("the engine is busy; it will raise the budget when it gets to it")),
    }
}

fn duration_of(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| format!("`{text}` is not a duration such as `20h`"))
}
