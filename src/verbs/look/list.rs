//! `stepwell list`

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use clap::Args;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::effort::{Effort, effort};
use crate::view::output::{run_json, short_id, table};
use crate::view::work_time::{self, WorkClock};
use stepwell_base::ids::RunId;
use stepwell_run::event::{Alert, Wait};
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow, RunRows, Unreadable, WaitRow};

/// Most ended runs in the list without `--all`. Pruned runs are not shown.
const NEWEST: usize = 20;

/// Status of a run that no engine can drive; `db check` says why.
const DAMAGED: &str = "damaged";

struct Page {
    runs: Vec<Listed>,
    unreadable: Vec<Unreadable>,
    /// True if older ended runs are not shown.
    more: bool,
}

struct Listed {
    /// Depth below its topmost listed ancestor; a child run was started by a step of its parent.
    depth: usize,
    run: RunRow,
    /// Present only for running runs.
    effort: Option<Effort>,
    time: String,
    alerts: Vec<Alert>,
    /// The reason why no engine can drive the run.
    damage: Option<String>,
}

/// List runs, newest first, with what they wait for
///
/// Shows every run that has not ended and the newest 20 that have; `--all` shows the others too.
#[derive(Args, Debug, Default)]
pub struct ListArgs {
    /// Also list the runs that ended before the newest 20
    #[arg(long)]
    pub all: bool,
}

pub fn list(session: &Session, args: &ListArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let (Page { runs, unreadable, more }, waits) = (page(session, &reader, args.all)?, reader.waits()?);
    let mut human = if runs.is_empty() && unreadable.is_empty() {
        session.out.pasteable("no runs yet: `stepwell start-training` starts one")
    } else {
        let header = ["run", "name", "workflow", "status", "created", "time", "left", "waits for"];
        let rows = runs.iter().map(|listed| row(listed, &waits));
        table(&header, rows.chain(unreadable.iter().map(unreadable_row)).collect())
    };
    if more {
        human = format!("{}\n\nolder runs have ended too: `stepwell list --all` shows them", human.trim_end());
    }
    let json_of = |Listed { run, effort, alerts, damage, .. }: &Listed| {
        let mut fields = run_json(run);
        fields["waits"] = waits.iter().filter(|wait| wait.run == run.id).map(wait_json).collect();
        fields["alerts"] = json!(alerts.iter().map(|alert| alert.as_str()).collect::<Vec<_>>());
        fields["effort"] = json!(effort.as_ref().map(Effort::json));
        fields["damage"] = json!(damage);
        fields
    };
    let unreadable_json = |run: &Unreadable| json!({ "id": run.id, "name": run.name, "damage": run.why });
    let unreadable: Vec<Value> = unreadable.iter().map(unreadable_json).collect();
    let runs: Vec<Value> = runs.iter().map(json_of).collect();
    session.out.document(&human, json!({ "runs": runs, "unreadable": unreadable, "more": more }))?;
    Ok(Exit::Ok)
}

fn page(session: &Session, reader: &Reader, all: bool) -> Result<Page, CliError> {
    let most = if all { usize::MAX } else { NEWEST };
    let RunRows { readable: mut ended, mut unreadable } = reader.ended_runs(most.saturating_add(1))?;
    let more = ended.len() > most;
    ended.truncate(most);
    let RunRows { readable: mut runs, unreadable: open } = reader.open_runs()?;
    unreadable.extend(open);
    runs.append(&mut ended);
    runs.sort_by_key(|run| Reverse(run.id));
    let clock = WorkClock::new(reader, None);
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    let mut alerts = reader.alerts(&ids)?;
    let with_effort = |(depth, run): (usize, RunRow)| {
        let damage = if run.status.is_active() { reader.damage(run.id)? } else { None };
        if damage.is_some() {
            return Ok(Listed { depth, run, effort: None, time: String::new(), alerts: Vec::new(), damage });
        }
        let running = run.status == RunStatus::Running;
        let effort = running.then(|| effort(reader, &run, session.settings.slots.value)).transpose()?;
        let alerts = alerts.remove(&run.id).unwrap_or_default();
        let time = work_time::text(work_time::of_listed(reader, &run, &clock)?);
        Ok::<_, CliError>(Listed { depth, run, effort, time, alerts, damage })
    };
    let runs = under_their_parents(runs).into_iter().map(with_effort).collect::<Result<_, _>>()?;
    Ok(Page { runs, unreadable, more })
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

/// Describes what a run waits for, in one cell.
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

fn row(Listed { depth, run, effort, time, damage, .. }: &Listed, waits: &[WaitRow]) -> Vec<String> {
    vec![
        short_id(run.id),
        format!("{}{}", "  ".repeat(*depth), run.name),
        run.workflow.clone(),
        if damage.is_some() { DAMAGED } else { run.status.as_str() }.to_owned(),
        run.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        time.clone(),
        effort.as_ref().and_then(Effort::left).unwrap_or_default(),
        waits_for(run.id, waits),
    ]
}

fn unreadable_row(run: &Unreadable) -> Vec<String> {
    let mut cells = vec![run.id.clone(), run.name.clone(), String::new(), DAMAGED.to_owned()];
    cells.resize(8, String::new());
    cells
}
