//! The head of every view of a run: its state, its times, its problems, what can be done.

use jiff::Timestamp;
use serde_json::Value;

use super::super::super::parts::{Badge, Lasted, When, duration, handle, short_id};
use super::around::Around;
use super::health::{Named, problems};
use super::tabs::{Link, Tab};
use crate::problem::Problem;
use stepwell_base::ids::RunId;
use stepwell_base::scope::Scope;
use stepwell_run::run_options::Origin;
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow, StepCounts, StepRow};

pub struct Head {
    pub id: RunId,
    pub name: String,
    pub handle: String,
    pub workflow: String,
    pub state: Badge,
    pub status: RunStatus,
    pub is_ended: bool,
    pub is_watched: bool,
    pub why: Option<String>,
    pub tags: Vec<String>,
    pub note: Option<String>,
    pub started: When,
    pub time: Option<Lasted>,
    pub left: Option<String>,
    pub counts: StepCounts,
    pub facts: Vec<(&'static str, String)>,
    pub health: Vec<Named>,
    pub tabs: Vec<Link>,
    pub may_act: bool,
    pub can: Can,
    pub places: Vec<Place>,
    /// Ids of the run and of the runs around it, whose events concern the view; empty if there are too many to name.
    pub family: String,
}

/// What can be done with a run in its state.
pub struct Can {
    pub pause: bool,
    pub resume: bool,
    pub retry: bool,
    /// Retry of one step, which continues a run that has failed.
    pub retry_step: bool,
    pub cancel: bool,
    pub fork: bool,
}

/// A place at which a run can be forked.
pub struct Place {
    pub value: String,
    pub text: String,
}

/// Checkpoints of a step to choose from.
const MOST_CHECKPOINTS: usize = 12;
/// Steps to choose from.
const MOST_STEPS: usize = 60;
/// Runs that are named.
const MOST_RELATIVES: usize = 200;

impl Head {
    /// # Errors
    /// `not_found` when there is no such run.
    pub fn read(reader: &Reader, around: &Around, tab: Tab) -> Result<Head, Problem> {
        let Around { id, effort, identity, .. } = around;
        let id = *id;
        let run = reader.run(id)?;
        let now = Timestamp::now();
        let annotation = reader.annotation(id)?;
        let counts = reader.step_counts(id)?;
        let health = problems(reader, &run, around.machine, now)?;
        let may_act = identity.scope.allows(Scope::Run) && run.pruned_at.is_none();
        let can = Can::of(run.status, counts.failed);
        let places = if may_act && can.fork { places(reader, id, counts.top)? } else { Vec::new() };
        let family: Vec<RunId> = std::iter::once(id).chain(run.parent()).chain(reader.descendants(id)?).collect();
        Ok(Head {
            id,
            name: run.name.clone(),
            handle: handle(reader, &run),
            workflow: run.workflow.clone(),
            state: Badge::of_run(run.status),
            status: run.status,
            is_ended: run.status.is_terminal(),
            is_watched: run.status == RunStatus::Running,
            why: why(&run),
            tags: annotation.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            note: annotation.note.as_ref().map(|note| note.as_str().to_owned()),
            started: When::new(run.started_at.unwrap_or(run.created_at)),
            time: Lasted::of_run(&run, now),
            left: effort["estimated_seconds_left"].as_f64().map(|seconds| {
                match effort["estimate_is_complete"].as_bool() {
                    Some(false) => format!("about {} or more", duration(seconds)),
                    _ => format!("about {}", duration(seconds)),
                }
            }),
            counts,
            facts: facts(reader, &run, effort),
            health,
            tabs: Tab::links(tab, id),
            may_act,
            can,
            places,
            family: match family.len() {
                0..=MOST_RELATIVES => family.iter().map(RunId::to_string).collect::<Vec<_>>().join(" "),
                _ => String::new(),
            },
        })
    }
}

impl Can {
    fn of(status: RunStatus, failed: u64) -> Can {
        Can {
            pause: matches!(status, RunStatus::Running | RunStatus::Pending | RunStatus::Interrupted),
            resume: matches!(status, RunStatus::Paused | RunStatus::Interrupted | RunStatus::Failed),
            retry: failed > 0 && !matches!(status, RunStatus::Canceled | RunStatus::Canceling | RunStatus::Failed),
            retry_step: failed > 0 && !matches!(status, RunStatus::Canceled | RunStatus::Canceling),
            cancel: !status.is_terminal() && status != RunStatus::Canceling,
            fork: status != RunStatus::Pending,
        }
    }
}

/// Why a run is where it is, where its state alone does not say it.
fn why(run: &RunRow) -> Option<String> {
    match run.status {
        RunStatus::Paused => Some(format!("Paused: {}", run.pause_reason.as_deref().unwrap_or("no reason was given"))),
        RunStatus::Interrupted => Some("Its engine has ended before it: it continues once an engine runs.".to_owned()),
        RunStatus::Pending => Some("No engine has started it yet.".to_owned()),
        RunStatus::Canceling => Some("Its attempts are being stopped.".to_owned()),
        RunStatus::Running | RunStatus::Succeeded | RunStatus::Failed | RunStatus::Canceled => None,
    }
}

fn facts(reader: &Reader, run: &RunRow, effort: &Value) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let number = |name: &str| effort[name].as_f64();
    if let Some(compute) = number("compute_seconds").filter(|seconds| *seconds > 0.0) {
        let of = number("maximum_compute_seconds").map(|most| format!(" of {}", duration(most))).unwrap_or_default();
        facts.push(("Compute", format!("{}{of}", duration(compute))));
    }
    if let Some(cost) = number("cost") {
        let of = number("maximum_cost").map(|most| format!(" of {most}")).unwrap_or_default();
        facts.push(("Cost", format!("{cost:.2}{of}")));
    }
    facts.extend(effort["deadline"].as_str().map(|at| ("Deadline", at.to_owned())));
    facts.extend(origin(reader, run).map(|origin| ("Origin", origin)));
    facts
}

fn origin(reader: &Reader, run: &RunRow) -> Option<String> {
    let name =
        |id: RunId| reader.run(id).map_or_else(|_| short_id(id), |row| format!("{} ({})", row.name, short_id(id)));
    Some(match run.options.origin.as_ref()? {
        Origin::Rerun { run, from_step } => format!("rerun of {} from {from_step}", name(*run)),
        Origin::Fork { run, at, train_step: Some(train_step) } => {
            format!("fork of {} at {at}:{train_step}", name(*run))
        }
        Origin::Fork { run, at, train_step: None } => format!("fork of {} at {at}", name(*run)),
        Origin::Child { run, step } => format!("step {step} of {}", name(*run)),
        Origin::Schedule { name, .. } => format!("schedule {name}"),
    })
}

/// Checkpoints first, the newest on top, then whole steps.
fn places(reader: &Reader, run: RunId, top: u64) -> Result<Vec<Place>, Problem> {
    if top > MOST_STEPS as u64 {
        return Ok(Vec::new());
    }
    let steps: Vec<StepRow> = reader.overview(run, 0)?;
    let (mut checkpoints, mut whole) = (Vec::new(), Vec::new());
    for step in &steps {
        whole.push(Place { value: step.id.to_string(), text: format!("{}, the whole step", step.id) });
        if step.last_step.is_none() || step.children.is_some() {
            continue;
        }
        for row in reader.checkpoints(run, &step.id)?.iter().take(MOST_CHECKPOINTS) {
            let Some(at) = row.checkpoint.last_step else { continue };
            let value = format!("{}:{at}", step.id);
            let loss = row.checkpoint.loss.map(|loss| format!(", loss {loss:.4}")).unwrap_or_default();
            checkpoints.push(Place { text: format!("{} at training step {at}{loss}", step.id), value });
        }
    }
    checkpoints.extend(whole);
    Ok(checkpoints)
}
