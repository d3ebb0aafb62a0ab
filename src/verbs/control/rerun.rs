//! `stepwell rerun RUN --from-step STEP`

use clap::Args;

use crate::drive::derive::{EarlierRun, NewRunArgs};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::ids::StepId;
use stepwell_run::run_options::Origin;

/// Rerun a step and everything after it, in a new run that reuses the rest
///
/// Other steps are reused where equal ones have succeeded before; `--set` changes parameters of the new run. Without
/// `--from-step`, everything runs again.
#[derive(Args, Debug)]
pub struct RerunArgs {
    #[command(flatten)]
    pub new: NewRunArgs,
    /// The first step to run again [default: all steps]
    #[arg(long, aliases = ["from", "step", "at"], value_name = "STEP")]
    pub from_step: Option<String>,
}

pub fn rerun(session: &Session, args: &RerunArgs) -> Result<Exit, CliError> {
    let source = EarlierRun::load(session, &args.new.run, &args.new.params.set)?;
    let (from_step, again) = match &args.from_step {
        Some(step) => {
            let step = source.step(step)?;
            let again = source.with_descendants(&step);
            (step, again)
        }
        None => {
            let all: Vec<StepId> = source.steps().cloned().collect();
            let none = || CliError::usage(format!("run {} has no steps", source.run.name));
            (all.first().cloned().ok_or_else(none)?, all)
        }
    };
    let origin = Origin::Rerun { run: source.id(), from_step };
    let new = source.derive(session, args.new.labels(), again, origin, None);
    new.start(session, args.new.detach.drive())
}
