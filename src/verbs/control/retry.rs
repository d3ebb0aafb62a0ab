//! `stepwell retry RUN [STEP]`

use clap::Args;

use crate::arguments::LogArgs;
use crate::drive::edited::say_if_edited;
use crate::drive::mistakes::Words;
use crate::drive::queue::continue_run::continue_run;
use crate::drive::queue::detach::Detach;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_engine::Start;

/// Retry a failed step, or all of them, even while the rest of the run continues
///
/// The failed items of a fan-out are retried. If another process is the engine, that one continues
/// the run and this one watches it to its end.
#[derive(Args, Debug)]
pub struct RetryArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Retry only this step; an item of a fan-out is STEP[ITEM] or STEP[POSITION]
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    #[command(flatten)]
    pub detach: Detach,
    #[command(flatten)]
    pub logs: LogArgs,
}

pub fn retry(session: &Session, args: &RetryArgs) -> Result<Exit, CliError> {
    let words = Words { verb: "retry", run: &args.run, step: args.step.as_deref() };
    let (reader, id, step) = words.find_kept(session)?;
    say_if_edited(session, reader.run(id)?.options.project.as_ref());
    drop(reader);
    continue_run(session, id, Start::Retry { step }, args.detach.drive())
}
