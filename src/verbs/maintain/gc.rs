//! `stepwell gc`

use clap::Args;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::bytes;
use stepwell_engine::{Amount, Sweep, gc as collect};
use stepwell_run::retention::Retention;

/// Remove files that nothing refers to, and runs that the retention policy does not keep
///
/// A pruned run keeps its row and its events; its outputs, checkpoints and logs go. Runs that have not ended stay.
#[derive(Args, Debug)]
pub struct GcArgs {
    /// Only print what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Prune all but the newest N ended runs of each workflow [default: retention.keep_runs]
    #[arg(long, value_name = "N")]
    pub keep_runs: Option<u64>,
    /// Prune runs that ended more than D days ago; with --keep-runs, those that neither rule keeps
    #[arg(long, value_name = "D")]
    pub keep_days: Option<u64>,
}

pub fn gc(session: &Session, args: &GcArgs) -> Result<Exit, CliError> {
    let settings = &session.settings;
    let retention = Retention {
        keep_runs: args.keep_runs.or(settings.keep_runs.value),
        keep_days: args.keep_days.or(settings.keep_days.value),
    };
    let sweep = if args.dry_run { Sweep::DryRun } else { Sweep::Remove };
    let collected = collect(session.state_dir(), retention, sweep)?;
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let line = |amount: Amount, what: &str| format!("{verb} {} {what}, {}\n", amount.files, bytes(amount.bytes));
    let mut human =
        format!("{} {} runs\n", if args.dry_run { "would prune" } else { "pruned" }, collected.pruned.len());
    human.push_str(&line(collected.artifacts, "artifacts that nothing refers to"));
    human.push_str(&line(collected.temporary, "unfinished files"));
    human.push_str(&line(collected.scratch, "scratch files and logs"));
    let value = json!({
        "dry_run": args.dry_run,
        "pruned": collected.pruned,
        "artifacts": amount(collected.artifacts),
        "temporary": amount(collected.temporary),
        "scratch": amount(collected.scratch),
        "bytes": collected.artifacts.bytes + collected.temporary.bytes + collected.scratch.bytes,
    });
    session.out.document(&human, value)?;
    Ok(Exit::Ok)
}

fn amount(amount: Amount) -> Value {
    json!({ "files": amount.files, "bytes": amount.bytes })
}
