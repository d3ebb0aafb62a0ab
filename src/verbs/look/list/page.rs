//! Chooses the runs to list, and collects what is shown of each.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::args::ListArgs;
use super::sort::{Direction, Key, sorted};
use crate::error::CliError;
use crate::session::Session;
use crate::view::effort::{Effort, effort};
use crate::view::work_time::{self, WorkClock};
use stepwell_base::ids::RunId;
use stepwell_run::event::Alert;
use stepwell_run::status::RunStatus;
use stepwell_store::{Annotation, Reader, RunParams, RunRow, RunRows, Unreadable};

/// Most ended runs in the list without `--all`. Pruned runs are not shown.
const NEWEST: usize = 20;
/// Most unfinished runs on a screen; JSON has all.
const UNFINISHED: usize = 20;

pub(super) struct Page {
    pub(super) runs: Vec<Listed>,
    pub(super) unreadable: Vec<Unreadable>,
    /// True if older ended runs are not shown.
    pub(super) more: bool,
    /// Runs that would be shown on a longer screen.
    pub(super) left_out: usize,
    /// True if the arguments choose runs.
    pub(super) is_search: bool,
}

pub(super) struct Listed {
    /// Depth below its topmost listed ancestor; a child run was started by a step of its parent.
    pub(super) depth: usize,
    pub(super) run: RunRow,
    /// Present only for running runs.
    pub(super) effort: Option<Effort>,
    pub(super) time: String,
    pub(super) alerts: Vec<Alert>,
    /// The reason why no engine can drive the run.
    pub(super) damage: Option<String>,
    pub(super) params: RunParams,
    pub(super) annotation: Annotation,
    /// The value or parameter that the list is sorted by.
    pub(super) sorted_by: Option<Value>,
}

pub(super) fn page(session: &Session, reader: &Reader, args: &ListArgs) -> Result<Page, CliError> {
    let is_search = !args.status.is_empty()
        || [args.kept, args.workflow.is_some(), args.tag.is_some(), args.sort.is_some(), args.number.is_some()]
            .contains(&true);
    let most = if args.all || is_search { usize::MAX } else { NEWEST };
    let RunRows { readable: mut ended, mut unreadable } = reader.ended_runs(most.saturating_add(1))?;
    let mut more = ended.len() > most;
    ended.truncate(most);
    let RunRows { readable: mut runs, unreadable: open } = reader.open_runs()?;
    unreadable.extend(open);
    let tagged = args.tag.as_ref().map(|tag| reader.runs_tagged(tag)).transpose()?;
    let kept = if args.kept { Some(reader.kept_runs()?) } else { None };
    let is_wanted = |run: &RunRow| {
        kept.as_ref().is_none_or(|kept| kept.contains(&run.id))
            && tagged.as_ref().is_none_or(|tagged| tagged.contains(&run.id))
            && (args.status.is_empty() || args.status.contains(&run.status))
            && args.workflow.as_ref().is_none_or(|workflow| *workflow == run.workflow)
    };
    let mut left_out = 0;
    if !is_search && !args.all && !session.out.is_json() {
        left_out = keep_most_active(&mut runs, UNFINISHED);
    }
    runs.append(&mut ended);
    runs.retain(is_wanted);
    runs.sort_by_key(|run| Reverse(run.id));
    let mut rows: Vec<(usize, RunRow, Option<Value>)> = match &args.sort {
        Some(sort) => {
            let direction = if args.reverse { Direction::BestLast } else { Direction::BestFirst };
            let key = Key::find(reader, sort, &runs)?;
            sorted(&key, runs, direction).into_iter().map(|(run, value)| (0, run, value)).collect()
        }
        None => under_their_parents(runs).into_iter().map(|(depth, run)| (depth, run, None)).collect(),
    };
    if is_search {
        let most = args.number.unwrap_or(if args.all { usize::MAX } else { NEWEST });
        left_out = rows.len().saturating_sub(most);
        more = left_out > 0;
        rows.truncate(most);
    }
    Ok(Page { runs: listed(session, reader, rows)?, unreadable, more, left_out, is_search })
}

/// Keeps the newest of the unfinished runs, those first that work or wait. Returns how many it dropped.
fn keep_most_active(runs: &mut Vec<RunRow>, most: usize) -> usize {
    let left_out = runs.len().saturating_sub(most);
    runs.sort_by_key(|run| (run.status == RunStatus::Pending, Reverse(run.id)));
    runs.truncate(most);
    left_out
}

fn listed(
    session: &Session,
    reader: &Reader,
    rows: Vec<(usize, RunRow, Option<Value>)>,
) -> Result<Vec<Listed>, CliError> {
    let clock = WorkClock::new(reader, None);
    let ids: Vec<RunId> = rows.iter().map(|(_, run, _)| run.id).collect();
    let mut alerts = reader.alerts(&ids)?;
    let mut params = reader.params_of(&ids)?;
    let mut annotations = reader.annotations(&ids)?;
    let listed = |(depth, run, sorted_by): (usize, RunRow, Option<Value>)| {
        let params = params.remove(&run.id).unwrap_or_default();
        let annotation = annotations.remove(&run.id).unwrap_or_default();
        let damage = if run.status.is_active() { reader.damage(run.id)? } else { None };
        if damage.is_some() {
            let (time, alerts) = (String::new(), Vec::new());
            return Ok(Listed { depth, run, effort: None, time, alerts, damage, params, annotation, sorted_by });
        }
        let running = run.status == RunStatus::Running;
        let effort = running.then(|| effort(reader, &run, session.settings.slots.value)).transpose()?;
        let alerts = alerts.remove(&run.id).unwrap_or_default();
        let time = work_time::text(work_time::of_listed(reader, &run, &clock)?);
        Ok::<_, CliError>(Listed { depth, run, effort, time, alerts, damage, params, annotation, sorted_by })
    };
    rows.into_iter().map(listed).collect()
}

/// Sorts newest first, with child runs right after their parents in order of submission; adds depths.
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
