//! The table of steps, in pages, failed ones first.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::parts::{Badge, Lasted, cut, share, short_id};
use super::super::runs::encoded;
use crate::problem::Problem;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::Wait;
use stepwell_run::item::item_name;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{Reader, RunRow, StepCounts, StepFilter, StepPage, StepRow};

/// Steps on a page.
const MOST: usize = 50;
/// Steps that are counted one by one for a page.
const MOST_COUNTED: u64 = 10_000;
const LONGEST_SEARCH: usize = 200;
const WHY_CHARACTERS: usize = 300;
const ITEM_CHARACTERS: usize = 60;

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    pub status: String,
    pub q: String,
    /// The cursor after which the page starts, and the number of steps before it.
    pub after: String,
    pub from: u64,
}

impl Query {
    /// The address of a page of the run with these steps.
    pub fn address(&self, run: RunId) -> String {
        let from = if self.after.is_empty() { String::new() } else { self.from.to_string() };
        let pairs = [("status", &self.status), ("q", &self.q), ("after", &self.after), ("from", &from)];
        let pairs: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        match pairs.is_empty() {
            true => format!("/runs/{run}"),
            false => format!("/runs/{run}?{}", pairs.join("&")),
        }
    }
}

pub struct Steps {
    pub rows: Vec<Row>,
    pub counts: Vec<Count>,
    pub action: String,
    pub status: Option<String>,
    pub q: String,
    pub range: String,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct Row {
    pub id: String,
    /// For the address of the row in the page.
    pub key: String,
    pub kind: String,
    pub href: String,
    pub log: String,
    pub is_child: bool,
    pub state: Badge,
    pub progress: String,
    pub share: Option<u64>,
    pub why: Option<String>,
    pub is_bad: bool,
    pub attempts: u32,
    pub time: Option<Lasted>,
}

pub struct Count {
    pub href: String,
    pub is_here: bool,
    pub state: Badge,
    pub number: u64,
}

pub fn steps(reader: &Reader, run: &RunRow, counts: &StepCounts, query: &Query) -> Result<Steps, Problem> {
    if query.q.len() > LONGEST_SEARCH {
        return Err(Problem::usage(format!("a text to search for has at most {LONGEST_SEARCH} bytes")));
    }
    let status = match query.status.as_str() {
        "" => None,
        word => Some(word.parse().map_err(|_| Problem::usage(format!("`{word}` is no status of steps")))?),
    };
    let after = match query.after.as_str() {
        "" => None,
        cursor => Some(cursor.parse().map_err(|why| Problem::usage(format!("`after`: {why}")))?),
    };
    let text = Some(query.q.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = StepFilter { status, text };
    let total = total(reader, run.id, counts, &filter)?;
    let StepPage { steps: mut found, next } = reader.step_page(run.id, &filter, after, MOST)?;
    if counts.total as usize <= MOST {
        in_order(&mut found, reader, run.id)?;
    }
    let now = Timestamp::now();
    let statuses: HashMap<StepId, StepStatus> = found.iter().map(|step| (step.id.clone(), step.status)).collect();
    let rows = found.iter().map(|step| row(run, step, &statuses, now)).collect();
    let before = if after.is_some() { query.from } else { 0 };
    let last = before + found.len() as u64;
    let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
    let page = |after: String, from: u64| format!("{}#steps", Query { after, from, ..query.clone() }.address(run.id));
    Ok(Steps {
        rows,
        counts: chips(run.id, counts, &query.status),
        action: format!("/runs/{}", run.id),
        status: status.map(|status: StepStatus| status.as_str().to_owned()),
        q: query.q.clone(),
        range: format!("{} to {last}{of}", if found.is_empty() { 0 } else { before + 1 }),
        first: after.map(|_| page(String::new(), 0)),
        next: next.map(|place| page(place.to_string(), last)),
    })
}

/// The number of steps that a filter lets through, where that is known without a look at all of them.
fn total(reader: &Reader, run: RunId, counts: &StepCounts, filter: &StepFilter) -> Result<Option<u64>, Problem> {
    let known = match (filter.status, &filter.text) {
        (None, None) => Some(counts.total),
        (Some(StepStatus::Failed), None) => Some(counts.failed),
        (Some(StepStatus::Running), None) => Some(counts.running),
        (Some(StepStatus::Waiting), None) => Some(counts.waiting),
        _ => None,
    };
    Ok(match known {
        None if counts.total <= MOST_COUNTED => Some(reader.count_steps(run, filter)?),
        known => known,
    })
}

/// On one page: failed steps first, the others as they are defined, items below their fan-out.
fn in_order(steps: &mut [StepRow], reader: &Reader, run: RunId) -> Result<(), Problem> {
    let order: Vec<StepId> =
        reader.spec(run).map(|spec| spec.steps.into_iter().map(|step| step.id).collect()).unwrap_or_default();
    let place = |id: &StepId| order.iter().position(|known| known == id).unwrap_or(usize::MAX);
    steps.sort_by_cached_key(|step| {
        let top = step.parent.as_ref().unwrap_or(&step.id);
        (step.status != StepStatus::Failed, place(top), step.parent.is_some(), step.item_index)
    });
    Ok(())
}

fn chips(run: RunId, counts: &StepCounts, here: &str) -> Vec<Count> {
    let chip = |status: StepStatus, number: u64| Count {
        href: match here == status.as_str() {
            true => format!("/runs/{run}#steps"),
            false => format!("/runs/{run}?status={}#steps", status.as_str()),
        },
        is_here: here == status.as_str(),
        state: Badge::of_status(status),
        number,
    };
    let all = [
        chip(StepStatus::Failed, counts.failed),
        chip(StepStatus::Running, counts.running),
        chip(StepStatus::Waiting, counts.waiting),
        chip(StepStatus::Succeeded, counts.done),
    ];
    all.into_iter().filter(|count| count.number > 0 || count.is_here).collect()
}

fn row(run: &RunRow, step: &StepRow, statuses: &HashMap<StepId, StepStatus>, now: Timestamp) -> Row {
    let why = why(run, step, statuses);
    Row {
        id: name(step),
        key: encoded(step.id.as_str()).replace('%', "_"),
        kind: if step.parent.is_some() { String::new() } else { step.kind.clone() },
        href: href(run.id, &step.id),
        log: format!("/runs/{}/logs?step={}", run.id, encoded(step.id.as_str())),
        is_child: step.parent.is_some(),
        state: Badge::of_step(step, run.status),
        progress: progress(step),
        share: share(step).filter(|_| !step.status.is_terminal()),
        why: why.map(|why| cut(&why, WHY_CHARACTERS)),
        is_bad: step.status == StepStatus::Failed,
        attempts: step.attempts,
        time: Lasted::of_step(step, run.status, now),
    }
}

/// The address of the view of a step.
pub fn href(run: RunId, step: &StepId) -> String {
    format!("/runs/{run}/steps/{}", encoded(step.as_str()))
}

/// The id; for an item, with its name.
pub fn name(step: &StepRow) -> String {
    match &step.item {
        Some(item) => format!("{} ({})", step.id, cut(&item_name(item), ITEM_CHARACTERS)),
        None => step.id.to_string(),
    }
}

/// How far it is, in words.
pub fn progress(step: &StepRow) -> String {
    let mut parts = Vec::new();
    if let Some(children) = step.children {
        parts.push(format!("{} of {} items", children.done, children.total));
        if children.failed > 0 {
            parts.push(format!("{} failed", children.failed));
        }
    }
    let mark = step.progress.filter(|_| step.status == StepStatus::Running);
    if let Some(mark) = mark {
        parts.push(if mark.total > 0 { format!("{} of {}", mark.done, mark.total) } else { mark.done.to_string() });
    }
    match mark {
        Some(_) => {}
        None => parts.extend(step.last_step.map(|at| format!("training step {at}"))),
    }
    parts.extend(step.loss.map(|loss| format!("loss {loss:.4}")));
    parts.extend(step.tokens_so_far.map(|tokens| format!("{tokens} tokens")));
    parts.extend(step.resources.iter().map(|(pool, units)| format!("{pool} {}", units.join(" "))));
    parts.join(", ")
}

/// Why it failed, was left out, or does not run yet.
fn why(run: &RunRow, step: &StepRow, statuses: &HashMap<StepId, StepStatus>) -> Option<String> {
    match (step.status, &step.wait) {
        (StepStatus::Failed, _) => step.failure.as_ref().map(|failure| failure.headline()),
        (StepStatus::Skipped, _) => step.skip_reason.clone(),
        (StepStatus::Waiting, Some(Wait::Approval { .. })) => Some("waits for a person".to_owned()),
        (StepStatus::Waiting, Some(Wait::Signal { name })) => Some(format!("waits for the signal {name}")),
        (StepStatus::Waiting, Some(Wait::Run { run })) => Some(format!("waits for the child run {}", short_id(*run))),
        (StepStatus::Ready, _) if run.status == RunStatus::Running => {
            let again = step.failure.as_ref().map(|failure| format!("will be tried again: {}", failure.headline()));
            again.or_else(|| Some("waits for a free place".to_owned()))
        }
        (StepStatus::Pending, _) if !run.status.is_terminal() => {
            let open = |need: &&StepId| statuses.get(*need).is_none_or(|status| *status != StepStatus::Succeeded);
            let needs: Vec<&str> = step.needs.iter().filter(open).map(StepId::as_str).collect();
            (!needs.is_empty()).then(|| format!("needs {}", needs.join(", ")))
        }
        (StepStatus::Succeeded, _) => step.reused_from.map(|run| format!("reused from run {}", short_id(run))),
        _ => None,
    }
}
