//! `stepwell rm RUN...`

use clap::Args;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::removal::Removal;
use stepwell_base::ids::RunId;
use stepwell_engine::{Sweep, remove_runs};

/// Remove ended runs now, with their outputs, checkpoints and logs
///
/// Child runs of a run go with it. What another run still needs stays, for example a checkpoint that a fork continued
/// from or an output that was reused. Each run keeps its row and its events. No engine may run.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// Ids, unique starts of ids, names, or `last`
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// Only print what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

pub fn rm(session: &Session, args: &RmArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let runs: Vec<RunId> = args.runs.iter().map(|run| reader.resolve_run(run)).collect::<Result<_, _>>()?;
    drop(reader);
    let sweep = if args.dry_run { Sweep::DryRun } else { Sweep::Remove };
    let collected = remove_runs(session.state_dir(), &runs, sweep)?;
    Removal { collected: &collected, sweep, most: usize::MAX }.report(session)?;
    Ok(Exit::Ok)
}
