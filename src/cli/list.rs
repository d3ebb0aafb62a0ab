//! `stepwell list`

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::error::CliError;
use super::exit_code::Exit;
use super::output::{short_id, since, table};
use super::session::Session;
use crate::core::event::Wait;
use crate::core::ids::RunId;
use crate::store::{Reader, RunRow, StoreError, WaitRow};

pub fn list(session: &Session) -> Result<Exit, CliError> {
    let (runs, waits) = match Reader::open(session.state_dir()) {
        Ok(reader) => {
            // Of pruned ones there is nothing to show.
            let kept = reader.runs()?.into_iter().filter(|run| run.pruned_at.is_none()).collect();
            (under_their_parents(kept), reader.waits()?)
        }
        Err(StoreError::NoState { .. }) => Default::default(),
        Err(error) => return Err(error.into()),
    };
    let human = if runs.is_empty() {
        "no runs yet: `stepwell start-training` starts one".to_owned()
    } else {
        let header = ["run", "name", "workflow", "status", "created", "time", "waits for"];
        table(&header, runs.iter().map(|(depth, run)| row(*depth, run, &waits)).collect())
    };
    let json_of = |(_, run): &(usize, RunRow)| {
        let mut fields = run_json(run);
        fields["waits"] = waits.iter().filter(|wait| wait.run == run.id).map(wait_json).collect();
        fields
    };
    session.out.document(&human, json!({ "runs": runs.iter().map(json_of).collect::<Vec<_>>() }))?;
    Ok(Exit::Ok)
}

/// Newest first, child runs right after their parents in the order of their submission; with depths.
fn under_their_parents(runs: Vec<RunRow>) -> Vec<(usize, RunRow)> {
    let present: HashSet<RunId> = runs.iter().map(|run| run.id).collect();
    let mut children: HashMap<RunId, Vec<RunRow>> = HashMap::new();
    let mut open: Vec<(usize, RunRow)> = Vec::new();
    for run in runs {
        match run.parent().filter(|parent| present.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(run),
            None => open.push((0, run)),
        }
    }
    open.reverse();
    let mut ordered = Vec::new();
    while let Some((depth, run)) = open.pop() {
        open.extend(children.remove(&run.id).into_iter().flatten().map(|child| (depth + 1, child)));
        ordered.push((depth, run));
    }
    ordered
}

/// What a run waits for, in one cell.
fn waits_for(run: RunId, waits: &[WaitRow]) -> String {
    let mut own = waits.iter().filter(|wait| wait.run == run);
    let Some(WaitRow { step, wait, .. }) = own.next() else { return String::new() };
    let first = match wait {
        Wait::Approval { .. } => format!("a person: {step}"),
        Wait::Signal { name } => format!("the signal {name}: {step}"),
        Wait::Run { .. } => format!("a child run: {step}"),
    };
    match own.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}

fn wait_json(row: &WaitRow) -> Value {
    let mut fields = json!(row.wait);
    fields["step"] = json!(row.step);
    fields
}

fn row(depth: usize, run: &RunRow, waits: &[WaitRow]) -> Vec<String> {
    vec![
        short_id(run.id),
        format!("{}{}", "  ".repeat(depth), run.name),
        run.workflow.clone(),
        run.status.as_str().to_owned(),
        run.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        since(run.started_at, run.finished_at.or(Some(run.updated_at))),
        waits_for(run.id, waits),
    ]
}

/// A run as `list` and `show` print it.
pub fn run_json(run: &RunRow) -> Value {
    json!({
        "id": run.id,
        "name": run.name,
        "workflow": run.workflow,
        "status": run.status.as_str(),
        "parent": run.parent(),
        "spec_digest": run.spec_digest,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "failure": run.failure,
        "pause_reason": run.pause_reason,
        "origin": run.options.origin,
        "pruned_at": run.pruned_at,
    })
}
