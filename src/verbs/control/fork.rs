//! `stepwell fork RUN --at STEP[:TRAIN_STEP]`

use clap::Args;

use crate::drive::derive::{EarlierRun, NewRunArgs};
use crate::drive::fork_point::fork_at;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Fork a run at a step, or at a checkpoint within it, with other parameters
///
/// The new run takes over the steps before that place where they are equal. With `STEP:TRAIN_STEP` it continues
/// from that checkpoint.
#[derive(Args, Debug)]
pub struct ForkArgs {
    #[command(flatten)]
    pub new: NewRunArgs,
    /// Place to branch off: a step, or a training step of it that has a checkpoint
    #[arg(long, value_name = "STEP[:TRAIN_STEP]")]
    pub at: String,
}

pub fn fork(session: &Session, args: &ForkArgs) -> Result<Exit, CliError> {
    let (step, train_step) = place(&args.at)?;
    let source = EarlierRun::load(session, &args.new.run, &args.new.params.set)?;
    let new = fork_at(session, source, args.new.labels(), (step, train_step))?;
    new.start(session, args.new.detach.drive())
}

fn place(text: &str) -> Result<(&str, Option<u64>), CliError> {
    let Some((step, train_step)) = text.rsplit_once(':') else { return Ok((text, None)) };
    match train_step.parse() {
        Ok(train_step) => Ok((step, Some(train_step))),
        Err(_) => Err(CliError::usage(format!("`{train_step}` in `--at {text}` is not a training step"))
            .hint("write `--at STEP` or `--at STEP:1000`")),
    }
}
