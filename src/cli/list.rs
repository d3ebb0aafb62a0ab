//! `stepwell list`

use serde_json::{Value, json};

use super::effort::{Effort, effort};
use super::error::CliError;
use super::exit_code::Exit;
use super::output::{short_id, since, table};
use super::session::Session;
use crate::core::event::Alert;
use crate::core::status::RunStatus;
use crate::store::{Reader, RunRow, StoreError};

struct Listed {
    run: RunRow,
    effort: Option<Effort>,
    alerts: Vec<Alert>,
}

pub fn list(session: &Session) -> Result<Exit, CliError> {
    let runs = match Reader::open(session.state_dir()) {
        Ok(reader) => with_effort(session, &reader)?,
        Err(StoreError::NoState { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let human = if runs.is_empty() {
        "no runs yet: `stepwell start-training` starts one".to_owned()
    } else {
        let rows = runs.iter().map(row).collect();
        table(&["run", "name", "workflow", "status", "created", "time", ""], rows)
    };
    let values = runs.iter().map(|Listed { run, effort, alerts }| {
        let mut value = run_json(run);
        value["alerts"] = json!(alerts.iter().map(|alert| alert.as_str()).collect::<Vec<_>>());
        value["effort"] = json!(effort.as_ref().map(Effort::json));
        value
    });
    session.out.document(&human, json!({ "runs": values.collect::<Vec<_>>() }))?;
    Ok(Exit::Ok)
}

/// What is left is only estimated of runs that somebody works on.
fn with_effort(session: &Session, reader: &Reader) -> Result<Vec<Listed>, CliError> {
    let mut alerts = reader.alerts()?;
    let mut runs = Vec::new();
    for run in reader.runs()? {
        let running = run.status == RunStatus::Running;
        let effort = running.then(|| effort(reader, &run, session.settings.slots.value)).transpose()?;
        let alerts = alerts.remove(&run.id).unwrap_or_default();
        runs.push(Listed { run, effort, alerts });
    }
    Ok(runs)
}

fn row(listed: &Listed) -> Vec<String> {
    let Listed { run, effort, .. } = listed;
    vec![
        short_id(run.id),
        run.name.clone(),
        run.workflow.clone(),
        run.status.as_str().to_owned(),
        run.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        since(run.started_at, run.finished_at.or(Some(run.updated_at))),
        effort.as_ref().and_then(Effort::left).unwrap_or_default(),
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
        "priority": run.options.priority,
        "scheduled_at": run.scheduled_at(),
        "failure": run.failure,
    })
}
