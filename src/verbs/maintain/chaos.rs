//! `stepwell chaos WORKFLOW --kills N`: runs a workflow whole, runs it again under SIGKILL, and counts violations.

mod drill;
mod judge;
mod tally;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use self::drill::Drill;
use self::tally::Tally;
use crate::arguments::Params;
use crate::drive::load_workflow::load;
use crate::drive::trial::{Trial, temporary_folder};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;

/// Run a workflow under random SIGKILLs and count violations
///
/// The workflow first runs without interruption, then again under SIGKILL. Violations are lost events, repeated
/// commits, orphan processes, different outputs and damaged tables; any of them gives exit code 3.
#[derive(Args, Debug)]
pub struct ChaosArgs {
    /// Name of a workflow, or path of a TOML file; its outputs must not depend on time
    pub workflow: String,
    /// Total number of kills; killing a whole process family counts as one
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub kills: u64,
    #[command(flatten)]
    pub params: Params,
    /// Victim of the kills: the engine, a worker, or at random one of these or everything at once
    #[arg(long, value_enum, default_value_t = ChaosTarget::All)]
    pub target: ChaosTarget,
    /// Seed of the random moments [default: the time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for the temporary state directories [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Keep the temporary state directories; those of a failed drill are always kept
    #[arg(long)]
    pub keep: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChaosTarget {
    Engine,
    Worker,
    All,
}

pub fn chaos(session: &Session, args: &ChaosArgs) -> Result<Exit, CliError> {
    // Refuse an invalid workflow before killing anything.
    load(session, &args.workflow, &args.params.set)?;
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
