//! `stepwell run WORKFLOW`

use std::path::PathBuf;

use clap::Args;

use crate::drive::load_workflow::load;
use crate::drive::phases::{Phase, tag_of, write};
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
    /// Write down what happens in a phase of a research log: a folder with a `PLAN.md`
    #[arg(long, value_name = "FOLDER")]
    pub phase: Option<PathBuf>,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

pub fn run(session: &Session, args: &RunArgs) -> Result<Exit, CliError> {
    let loaded = load(session, &args.workflow, &args.submit.params.set)?;
    let Some(folder) = &args.phase else { return submit(session, loaded, &args.submit) };
    let phase = Phase::open(folder)?;
    let mut tagged = args.submit.clone();
    tagged.tag.push(tag_of(&phase)?);
    let ended = submit(session, loaded, &tagged);
    if let Err(error) = write(session, &phase) {
        // The run has ended as it has; `stepwell phases` tries again.
        session.out.message(&format!("warning: the phase was not written: {}", error.message()));
    }
    ended
}
