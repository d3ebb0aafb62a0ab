//! `stepwell gc`

use clap::Args;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::removal::{MOST_RUNS, Removal};
use stepwell_engine::{Sweep, gc as collect};
use stepwell_run::retention::Retention;

/// Remove files that nothing refers to, and runs that the retention policy does not keep
///
/// A pruned run keeps its row, its tags and its events; its outputs, checkpoints and logs go. Runs that have not ended
/// and runs that `keep` holds stay. Exported folders stay too. Failed and canceled runs go before those that succeeded.
#[derive(Args, Debug)]
pub struct GcArgs {
    /// Only print what would be removed
    #[arg(long, short_alias = 'n')]
    pub dry_run: bool,
    /// Prune all but N ended runs of each workflow: the newest that succeeded, then the newest of the others [default:
    /// retention.keep_runs]
    #[arg(long, alias = "keep", value_name = "N")]
    pub keep_runs: Option<u64>,
    /// Prune runs that ended more than D days ago; with --keep-runs, those that neither rule keeps
    #[arg(long, alias = "days", value_name = "D")]
    pub keep_days: Option<u64>,
    /// List every pruned run, not only the first 20
    #[arg(long)]
    pub all: bool,
}

pub fn gc(session: &Session, args: &GcArgs) -> Result<Exit, CliError> {
    let settings = &session.settings;
    let retention = Retention {
        keep_runs: args.keep_runs.or(settings.keep_runs.value),
        keep_days: args.keep_days.or(settings.keep_days.value),
    };
    if retention.keep_runs.is_none() && retention.keep_days.is_none() {
        session.out.message(
            "note: no rule says which runs go, so all stay: `--keep-runs N` or `--keep-days D` sets one, and so do \
             `keep_runs` and `keep_days` below `[retention]` in `stepwell.toml`",
        );
    }
    let sweep = if args.dry_run { Sweep::DryRun } else { Sweep::Remove };
    let collected = collect(session.state_dir(), retention, sweep)?;
    let most = if args.all { usize::MAX } else { MOST_RUNS };
    Removal { collected: &collected, sweep, most }.report(session)?;
    Ok(Exit::Ok)
}
