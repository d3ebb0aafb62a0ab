//! `stepwell rerun RUN --from-step STEP`

use clap::Args;

use crate::drive::derive::{EarlierRun, NewRunArgs};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_run::run_options::Origin;

/// Rerun a step and everything after it, in a new run that reuses the rest
///
/// Other steps are reused where equal ones have succeeded before; `--set` changes parameters of the new run.
#[derive(Args, Debug)]
pub struct RerunArgs {
    #[command(flatten)]
    pub new: NewRunArgs,
    /// The first step to run again
    #[arg(long, value_name = "STEP")]
    pub from_step: String,
}

pub fn rerun(session: &Session, args: &RerunArgs) -> Result<Exit, CliError> {
    let source = EarlierRun::load(session, &args.new.run, &args.new.params.set)?;
    let from_step = source.step(&args.from_step)?;
    let origin = Origin::Rerun { run: source.id(), from_step: from_step.clone() };
    let new = source.derive(session, args.new.labels(), &from_step, origin, None);
    new.start(session, args.new.detach.drive())
}
