//! `stepwell run WORKFLOW`

use clap::Args;

use crate::drive::load_workflow::load;
use crate::drive::submission::{SubmitArgs, submit};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Submit a workflow and run it in the foreground
///
/// Prints the run's id once the run is durable. Ctrl-C lets the running steps write a checkpoint; `stepwell resume`
/// continues the run.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

pub fn run(session: &Session, args: &RunArgs) -> Result<Exit, CliError> {
    let spec = load(session, &args.workflow, &args.submit.params.set)?;
    submit(session, spec, &args.submit)
}
