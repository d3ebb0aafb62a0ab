//! `stepwell list`

use serde_json::{Value, json};

use super::error::CliError;
use super::exit_code::Exit;
use super::output::{short_id, since, table};
use super::session::Session;
use crate::store::{Reader, RunRow, StoreError};

pub fn list(session: &Session) -> Result<Exit, CliError> {
    let runs = match Reader::open(session.state_dir()) {
        Ok(reader) => reader.runs()?,
        Err(StoreError::NoState { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let human = if runs.is_empty() {
        "no runs yet: `stepwell start-training` starts one".to_owned()
    } else {
        table(&["run", "name", "workflow", "status", "created", "time"], runs.iter().map(row).collect())
    };
    session.out.document(&human, json!({ "runs": runs.iter().map(run_json).collect::<Vec<_>>() }))?;
    Ok(Exit::Ok)
}

fn row(run: &RunRow) -> Vec<String> {
    vec![
        short_id(run.id),
        run.name.clone(),
        run.workflow.clone(),
        run.status.as_str().to_owned(),
        run.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        since(run.started_at, run.finished_at.or(Some(run.updated_at))),
    ]
}

/// A run as `list` and `show` print it.
pub fn run_json(run: &RunRow) -> Value {
    json!({
        "id": run.id,
        "name": run.name,
        "workflow": run.workflow,
        "status": run.status.as_str(),
        "spec_digest": run.spec_digest,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "failure": run.failure,
        "pause_reason": run.pause_reason,
        "origin": run.options.origin,
    })
}
