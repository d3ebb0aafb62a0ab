//! One row per run.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::parts::{Badge, Lasted, When, cut, short_id};
use crate::problem::Problem;
use stepwell_base::ids::RunId;
use stepwell_run::event::Wait;
use stepwell_run::run_options::Origin;
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow, StepTotals, WaitRow};

const WHY_CHARACTERS: usize = 140;

pub struct Row {
    pub id: RunId,
    pub name: String,
    pub workflow: String,
    pub origin: Option<String>,
    pub state: Badge,
    pub why: Option<String>,
    pub is_bad: bool,
    pub steps: u64,
    pub done: u64,
    pub failed: u64,
    pub started: When,
    pub time: Option<Lasted>,
    pub tags: Vec<String>,
}

pub fn rows(reader: &Reader, runs: &[RunRow], now: Timestamp) -> Result<Vec<Row>, Problem> {
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    let annotations = reader.annotations(&ids)?;
    let totals: HashMap<RunId, StepTotals> = reader.step_totals(&ids)?.into_iter().collect();
    let waits = if runs.iter().any(|run| !run.status.is_terminal()) { reader.waits()? } else { Vec::new() };
    let row = |run: &RunRow| {
        let totals = totals.get(&run.id).copied().unwrap_or_default();
        let tags = annotations.get(&run.id).map(|annotation| annotation.tags.iter().map(|tag| tag.as_str().to_owned()));
        Row {
            id: run.id,
            name: run.name.clone(),
            workflow: run.workflow.clone(),
            origin: origin(run),
            state: Badge::of_run(run.status),
            why: why(run, &waits).map(|text| cut(&text, WHY_CHARACTERS)),
            is_bad: run.status == RunStatus::Failed,
            steps: totals.total,
            done: totals.done,
            failed: totals.failed,
            started: When::new(run.started_at.unwrap_or(run.created_at)),
            time: Lasted::of_run(run, now),
            tags: tags.map(Iterator::collect).unwrap_or_default(),
        }
    };
    Ok(runs.iter().map(row).collect())
}

fn origin(run: &RunRow) -> Option<String> {
    Some(match run.options.origin.as_ref()? {
        Origin::Rerun { run, .. } => format!("rerun of {}", short_id(*run)),
        Origin::Fork { run, train_step: Some(at), .. } => format!("fork of {} at {at}", short_id(*run)),
        Origin::Fork { run, .. } => format!("fork of {}", short_id(*run)),
        Origin::Child { run, .. } => format!("child of {}", short_id(*run)),
        Origin::Schedule { name, .. } => format!("schedule {name}"),
    })
}

/// Why a run is where it is, in a few words.
fn why(run: &RunRow, waits: &[WaitRow]) -> Option<String> {
    match run.status {
        RunStatus::Failed => run.failure.as_ref().map(|failure| failure.headline()),
        RunStatus::Paused => run.pause_reason.clone(),
        RunStatus::Succeeded | RunStatus::Canceled => None,
        _ => {
            let wait = waits.iter().find(|wait| wait.run == run.id)?;
            Some(match &wait.wait {
                Wait::Approval { .. } => format!("{} waits for a person", wait.step),
                Wait::Signal { name } => format!("{} waits for the signal {name}", wait.step),
                Wait::Run { .. } => format!("{} waits for a child run", wait.step),
            })
        }
    }
}
