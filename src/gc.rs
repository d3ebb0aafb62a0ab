//! `stepwell gc`

use serde_json::{Value, json};

use super::args::GcArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::output::bytes;
use super::session::Session;
use stepwell_engine::{Amount, Sweep, gc as collect};
use stepwell_run::retention::Retention;

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
