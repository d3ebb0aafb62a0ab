//! `stepwell phases`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::drive::phases::{discover, write};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;

/// List the phases of a research log: folders with a `PLAN.md`
///
/// A phase is pending until `stepwell run WORKFLOW --phase FOLDER` writes its `run.log`, and complete once it has a `RESULTS.md`.
/// This verb also writes down what has happened to runs since, such as those that were killed and resumed.
#[derive(Args, Debug)]
pub struct PhasesArgs {
    /// Folder that holds the phases
    #[arg(value_name = "DIR", default_value = "phases")]
    pub folder: PathBuf,
}

pub fn phases(session: &Session, args: &PhasesArgs) -> Result<Exit, CliError> {
    let has_runs = session.state_dir().join(stepwell_store::DATABASE_FILE).exists();
    let mut rows = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    for mut phase in discover(&args.folder)? {
        let runs = if has_runs { write(session, &phase)? } else { Vec::new() };
        // Writing may have made its log or its results.
        phase = crate::drive::phases::Phase::open(&phase.path)?;
        let last = runs.last().map(|run| format!("{} {}", run.name, run.status.as_str())).unwrap_or_default();
        rows.push(vec![phase.name.clone(), phase.state.as_str().to_owned(), runs.len().to_string(), last]);
        let runs = runs.iter().map(|run| json!({ "id": run.id, "name": run.name, "status": run.status.as_str() }));
        values.push(json!({
            "number": phase.number, "name": phase.name, "path": phase.path, "state": phase.state.as_str(),
            "runs": runs.collect::<Vec<Value>>(),
        }));
    }
    let human = match rows.is_empty() {
        true => format!("no folder in `{}` has a PLAN.md", args.folder.display()),
        false => table(&["phase", "state", "runs", "last"], rows),
    };
    session.out.document(&human, json!({ "phases": values }))?;
    Ok(Exit::Ok)
}
