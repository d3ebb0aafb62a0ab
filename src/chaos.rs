//! `stepwell chaos WORKFLOW --kills N`: runs a workflow whole, runs it again under SIGKILL, and counts violations.

mod drill;
mod judge;
mod tally;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::args::ChaosArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::output::table;
use super::session::Session;
use super::trial::{Trial, temporary_folder};
use super::workflow_source;
use drill::Drill;
use tally::Tally;

pub fn chaos(session: &Session, args: &ChaosArgs) -> Result<Exit, CliError> {
    // Refuse an invalid workflow before killing anything.
    workflow_source::load(session, &args.workflow, &args.set)?;
    let folder = temporary_folder("stepwell-chaos-", args.dir.as_deref())?;
    let seed = args.seed.unwrap_or_else(clock);
    session.out.message(&format!("running {} without interruption (seed {seed})", args.workflow));
    let whole = Trial::new(folder.path().join("whole"))?;
    let mut drill = Drill::new(args, seed, &whole)?;
    while drill.tally.kills() < args.kills && drill.tally.failed_rounds == 0 {
        let state = folder.path().join(format!("killed-{}", drill.tally.rounds + 1));
        drill.round(&Trial::new(state)?.with_kernels_of(&whole)?, |tally| {
            session.out.message(&format!("kill {} of {}", tally.kills(), args.kills));
        })?;
    }
    let sound = drill.tally.is_sound();
    report(session, &drill.tally, seed)?;
    if args.keep || !sound {
        session.out.message(&format!("kept {}", folder.keep().display()));
    }
    Ok(if sound { Exit::Ok } else { Exit::Failed })
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn report(session: &Session, tally: &Tally, seed: u64) -> Result<(), CliError> {
    let verdict = if tally.is_sound() { "nothing was lost" } else { "FAILED" };
    let rows = tally.rows().into_iter().map(|(what, count)| vec![what.to_owned(), count.to_string()]).collect();
    let mut text = table(&["under SIGKILL", "count"], rows);
    for line in &tally.findings {
        text.push_str(&format!("\n{line}"));
    }
    text.push_str(&format!("\n{verdict} (seed {seed})"));
    let mut value = json!({ "passed": tally.is_sound(), "seed": seed, "findings": tally.findings });
    for (what, count) in tally.rows() {
        value[what.replace([' ', '-'], "_")] = json!(count);
    }
    session.out.document(&text, value)
}
