//! `stepwell run WORKFLOW`

use clap::Args;

use crate::drive::load_workflow::load;
use crate::drive::submission::{SubmitArgs, submit};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Submit a workflow and run it to its end
///
/// Prints the run's id once the run is durable. Ctrl-C lets the running steps write a checkpoint; `stepwell resume`
/// continues the run. If another process is the engine of the state directory, the run joins its queue and this process
/// watches; Ctrl-C then stops the watching only. If that engine ends or dies first, this process drives the run.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

pub fn run(session: &Session, args: &RunArgs) -> Result<Exit, CliError> {
    let loaded = load(session, &args.workflow, &args.submit.params.set)?;
    submit(session, loaded, &args.submit)
}
