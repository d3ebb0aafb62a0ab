//! The table of steps. A fan-out is followed by its items: all of a few, the most telling of many.

use std::collections::HashMap;

use crate::error::CliError;
use crate::view::extent::Extent;
use crate::view::output::{short_id, table};
use crate::view::value_text::{cut, in_a_row};
use crate::view::words::{count, step_status};
use crate::view::work_time::{self, WorkClock};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_run::event::Wait;
use stepwell_run::item::item_name;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{Children, Reader, StepRow};

/// Most items of all fan-outs, unless the full list is requested.
const MOST_ITEMS: usize = 20;
/// Least items of each fan-out.
const LEAST_ITEMS: usize = 3;
/// Most characters of an item.
const ITEM_CHARACTERS: usize = 32;

/// The steps in the table, and what it leaves out.
pub(super) struct Listed {
    pub(super) steps: Vec<StepRow>,
    pub(super) left_out: Vec<LeftOut>,
    /// Items that templates chose, by the step that has the template.
    pub(super) chosen: HashMap<StepId, Vec<String>>,
}

/// Items of a fan-out that are not shown, by status.
pub(super) struct LeftOut {
    pub(super) fan_out: String,
    pub(super) items: Vec<(StepStatus, u64)>,
}

/// Chooses the steps to show among those of `Reader::overview`.
pub(super) fn listed(reader: &Reader, run: RunId, overview: &[StepRow], extent: Extent) -> Result<Listed, CliError> {
    if extent == Extent::All {
        return Ok(Listed { steps: overview.to_vec(), left_out: Vec::new(), chosen: HashMap::new() });
    }
    let fan_outs = overview.iter().filter(|step| step.children.is_some()).count();
    let most = (MOST_ITEMS / fan_outs.max(1)).max(LEAST_ITEMS);
    let mut listed = Listed { steps: Vec::new(), left_out: Vec::new(), chosen: HashMap::new() };
    for step in overview.iter().filter(|step| step.parent.is_none()) {
        listed.steps.push(step.clone());
        let Some(Children { total, .. }) = step.children else { continue };
        if total <= most as u64 {
            listed.steps.extend(overview.iter().filter(|child| child.parent.as_ref() == Some(&step.id)).cloned());
            continue;
        }
        let shown = reader.children_to_look_at(run, &step.id, most)?;
        let hidden = |(status, all): (StepStatus, u64)| {
            let shown = shown.iter().filter(|child| child.status == status).count() as u64;
            (all > shown).then(|| (status, all - shown))
        };
        let items = reader.children_by_status(run, &step.id)?.into_iter().filter_map(hidden).collect();
        listed.left_out.push(LeftOut { fan_out: step.id.to_string(), items });
        listed.steps.extend(shown);
    }
    Ok(listed)
}

pub(super) fn text(listed: &Listed, run: RunStatus, clock: &WorkClock<'_>, handle: &str) -> String {
    let time = |step: &StepRow| work_time::text(clock.of_step(step, &listed.steps));
    let has_items = listed.steps.iter().any(|step| step.parent.is_some());
    let mut header = vec!["step", "kind", "status", "attempts", "time"];
    header.extend(has_items.then_some("item"));
    header.push(if has_items { "progress, values" } else { "progress" });
    let row = |step: &StepRow| {
        let status = step_status(step, run).to_owned();
        let mut row = vec![step.id.to_string(), step.kind.clone(), status, step.attempts.to_string(), time(step)];
        row.extend(has_items.then(|| item(step)));
        let chosen = listed.chosen.get(&step.id).into_iter().flatten().cloned();
        let parts = chosen.chain(Some(progress(step)).filter(|text| !text.is_empty()));
        row.push(parts.collect::<Vec<_>>().join(", "));
        row
    };
    let mut text = table(&header, listed.steps.iter().map(row).collect());
    for LeftOut { fan_out, items } in &listed.left_out {
        let count: u64 = items.iter().map(|(_, count)| count).sum();
        let by_status: Vec<String> = items.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let show = shell::stepwell("show --all", [handle]);
        text.push_str(&format!("and {count} more items of {fan_out} ({}): {show}\n", by_status.join(", ")));
    }
    text
}

fn item(step: &StepRow) -> String {
    step.item.as_ref().map(|item| cut(&item_name(item), ITEM_CHARACTERS)).unwrap_or_default()
}

/// Progress of the running attempt in per cent. A checkpoint may be newer than the last report.
fn share(step: &StepRow) -> Option<u64> {
    let mark = step.progress.filter(|mark| mark.total > 0)?;
    let counts_steps = stepwell_steps::find(&step.kind).is_some_and(|kind| kind.counts_training_steps());
    let saved = step.last_step.filter(|_| counts_steps).unwrap_or(0);
    Some(100 * mark.done.max(saved).min(mark.total) / mark.total)
}

pub(super) fn progress(step: &StepRow) -> String {
    let mut parts = Vec::new();
    if let Some(Children { total, done, failed }) = step.children {
        parts.push(format!("{done} of {total} done"));
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
    }
    if step.reused_from.is_some() {
        parts.push("reused".to_owned());
    }
    if let Some(share) = share(step) {
        parts.push(format!("{share} %"));
    }
    for (pool, units) in &step.resources {
        parts.push(format!("{pool} {}", units.join(" ")));
    }
    if let Some(last_step) = step.last_step {
        parts.push(format!("step {last_step}"));
    }
    if let Some(index) = step.last_doc_index {
        parts.push(format!("document {index}"));
    }
    if let Some(tokens) = step.tokens_so_far {
        parts.push(count(tokens, "token"));
    }
    if let Some(loss) = step.loss {
        parts.push(format!("loss {loss:.4}"));
    }
    match &step.wait {
        Some(Wait::Approval { prompt, .. }) => parts.push(format!("waits for a person: {prompt}")),
        Some(Wait::Signal { name }) => parts.push(format!("waits for the signal {name}")),
        Some(Wait::Run { run }) => parts.push(format!("child run {}", short_id(*run))),
        None => {}
    }
    if let Some(outputs) = step.outputs.as_ref().filter(|outputs| step.parent.is_some() && !outputs.values.is_empty()) {
        parts.push(in_a_row(&outputs.values));
    }
    if let Some(failure) = &step.failure {
        parts.push(failure.headline());
    }
    if let Some(reason) = &step.skip_reason {
        parts.push(reason.clone());
    }
    parts.join(", ")
}
