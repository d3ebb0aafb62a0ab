//! `stepwell explain RUN [STEP]`: why a step ran, was reused, or waits.

mod baseline;
mod limits;
mod ran;
#[cfg(test)]
mod tests;
mod waits;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::drive::mistakes::Words;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::value_text::cut;
use crate::view::words::{count, step_is, verdict};
use baseline::Baselines;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::item::item_name;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{Children, EngineLock, Holder, Reader, RunRow, StepRow};
use stepwell_workflow::key::Change;
use stepwell_workflow::kinds::{APPROVAL, GATE};
use stepwell_workflow::limits::Limits;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

/// Explain why a step ran, was reused, or waits
///
/// Compares a step that ran with the newest earlier run of the workflow, and names what changed: a parameter, a file,
/// an output of another step. For a step that waits, says for what, and which command ends the wait.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step; an item of a fan-out is STEP[ITEM] or STEP[POSITION]
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}

pub fn explain(session: &Session, args: &ExplainArgs) -> Result<Exit, CliError> {
    let words = Words { verb: "explain", run: &args.run, step: args.step.as_deref() };
    let (reader, id, only) = words.find_kept(session)?;
    let (text, value) = explanation(session, &reader, id, only.as_ref())?;
    session.out.document(&text, value)?;
    Ok(Exit::Ok)
}

/// The explanation for people and for scripts.
pub fn explanation(
    session: &Session,
    reader: &Reader,
    id: RunId,
    only: Option<&StepId>,
) -> Result<(String, Value), CliError> {
    let run = reader.run(id)?;
    let spec = reader.spec(id)?;
    let steps = match only {
        Some(only) if reader.step_counts(id)?.total > MOST_STEPS => around(reader, id, &spec, only)?,
        _ => reader.steps(id)?,
    };
    // A fan-out stands for its items, too.
    let is_chosen = |step: &&StepRow| only.is_none_or(|only| step.id == *only || step.parent.as_ref() == Some(only));
    let chosen = steps.iter().filter(is_chosen);
    let engine = EngineLock::holder(session.state_dir());
    let mut family = reader.ancestors(id)?;
    family.push(id);
    let (now, limits) = (Timestamp::now(), session.settings.limits());
    let slots = session.settings.slots.value;
    let (run, spec, steps, compared) = (&run, &spec, &steps, RefCell::default());
    let baselines = Baselines::new(reader, run, steps);
    let situation =
        Situation { reader, run, spec, steps, only, engine, family, now, limits, slots, compared, baselines };
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    let mut values = Vec::new();
    for step in chosen {
        let mut reasons = reasons(&situation, step)?;
        for reason in &mut reasons {
            reason.message = session.out.pasteable(&reason.message);
        }
        add(&mut paragraphs, step, &reasons);
        let messages: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
        let details: Vec<Value> = reasons.iter().map(Reason::json).collect();
        values
            .push(json!({ "step": step.id, "status": step.status.as_str(), "reasons": messages, "details": details }));
    }
    let text = text(&paragraphs, run.status);
    Ok((text, json!({ "run": { "id": id, "status": run.status.as_str() }, "steps": values })))
}

/// Steps of a run that are all read for the explanation of one of them.
const MOST_STEPS: u64 = 2000;

/// A step of a large run, and those that it needs. Steps that compete with it for units are not told.
fn around(reader: &Reader, run: RunId, spec: &WorkflowSpec, only: &StepId) -> Result<Vec<StepRow>, CliError> {
    let step = reader.step(run, only)?;
    let top = step.parent.as_ref().unwrap_or(&step.id).clone();
    let needs = spec.steps.iter().find(|spec| spec.id == top).map_or(&[][..], |spec| &spec.needs);
    let mut steps = vec![step];
    for need in needs {
        steps.extend(reader.find_step(run, need)?);
    }
    Ok(steps)
}

/// Steps that share one explanation: a single step, or items of one fan-out.
struct Paragraph<'a> {
    steps: Vec<&'a StepRow>,
    reasons: Vec<String>,
}

/// Most characters of an item.
const ITEM_CHARACTERS: usize = 32;
/// Most items that a paragraph names.
const MOST_NAMED: usize = 5;
/// Most paragraphs about a workflow, and about the items of its fan-outs.
const MOST_PARAGRAPHS: usize = 20;

fn text(paragraphs: &[Paragraph<'_>], run: RunStatus) -> String {
    let is_of_items = |paragraph: &&Paragraph<'_>| paragraph.steps.first().is_some_and(|step| step.parent.is_some());
    let of_items = paragraphs.iter().filter(is_of_items).count();
    let mut left = MOST_PARAGRAPHS;
    let mut text = String::new();
    for paragraph in paragraphs {
        if is_of_items(&paragraph) {
            if left == 0 {
                continue;
            }
            left -= 1;
        }
        text.push_str(&paragraph.text(run));
    }
    if of_items > MOST_PARAGRAPHS {
        let more = of_items - MOST_PARAGRAPHS;
        text.push_str(&format!("and {more} more reasons of items: name an item, or use `--output json`\n"));
    }
    text
}

fn add<'a>(paragraphs: &mut Vec<Paragraph<'a>>, step: &'a StepRow, reasons: &[Reason]) {
    let mut reasons: Vec<String> = reasons.iter().map(|reason| reason.message.clone()).collect();
    // Several changes below one step read alike.
    reasons.dedup();
    let same = |known: &&mut Paragraph<'_>| {
        let first = known.steps[0];
        step.parent.is_some()
            && (&first.parent, first.status) == (&step.parent, step.status)
            && known.reasons == reasons
    };
    match paragraphs.iter_mut().rev().find(same) {
        Some(known) => known.steps.push(step),
        None => paragraphs.push(Paragraph { steps: vec![step], reasons }),
    }
}

impl Paragraph<'_> {
    fn text(&self, run: RunStatus) -> String {
        let name = |step: &&StepRow| match &step.item {
            Some(item) if self.steps.len() == 1 => format!("{} ({})", step.id, cut(&item_name(item), ITEM_CHARACTERS)),
            _ => step.id.to_string(),
        };
        let names: Vec<String> = self.steps.iter().take(MOST_NAMED).map(name).collect();
        let more = self.steps.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more items") } else { String::new() };
        let status = step_is(self.steps[0], run, self.steps.len());
        let mut text = format!("{}{more} {status}\n", names.join(", "));
        for reason in &self.reasons {
            text.push_str(&format!("  {reason}\n"));
        }
        text
    }
}

/// Everything that reasons are derived from.
struct Situation<'a> {
    reader: &'a Reader,
    run: &'a RunRow,
    spec: &'a WorkflowSpec,
    steps: &'a [StepRow],
    /// The only step to explain.
    only: Option<&'a StepId>,
    /// The process that holds the state directory.
    engine: Option<Holder>,
    /// The run and the runs above it.
    family: Vec<RunId>,
    now: Timestamp,
    limits: Limits,
    slots: usize,
    /// Labels and workflows of the runs that steps were compared with, loaded once each.
    compared: RefCell<HashMap<RunId, (String, Rc<WorkflowSpec>)>>,
    baselines: Baselines<'a>,
}

impl Situation<'_> {
    fn spec_of(&self, step: &StepRow) -> Option<&StepSpec> {
        let id = step.parent.as_ref().unwrap_or(&step.id);
        self.spec.steps.iter().find(|spec| spec.id == *id)
    }
}

struct Reason {
    /// Stable name for scripts.
    code: &'static str,
    message: String,
    change: Option<Change>,
}

impl Reason {
    fn new(code: &'static str, message: impl Into<String>) -> Reason {
        Reason { code, message: message.into(), change: None }
    }

    fn json(&self) -> Value {
        let mut value = json!({ "code": self.code, "message": self.message });
        if let Some(Change { path, old, new }) = &self.change {
            value["change"] = json!({ "path": path, "old": old, "new": new });
        }
        value
    }
}

/// What became of the items of a fan-out that has ended.
fn items_text(Children { total, done, failed }: Children) -> String {
    match (total, failed) {
        (0, _) => "its `for_each` gave no items: nothing was run".to_owned(),
        (_, 0) if done == total => format!("it stands for its {}: all are done", count(total, "item")),
        _ => format!("it stands for its {}: {done} are done, {failed} failed", count(total, "item")),
    }
}

/// Who decided on a step, when, and why.
fn decision(situation: &Situation<'_>, step: &StepRow) -> Result<Option<Reason>, CliError> {
    let decisions = situation.reader.decisions(situation.run.id)?;
    let Some(row) = decisions.into_iter().rev().find(|row| row.step == step.id) else { return Ok(None) };
    let by = row.ruling.approver.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    let comment = row.ruling.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
    let at = row.at.strftime("%Y-%m-%d %H:%M:%SZ");
    Ok(Some(Reason::new("decided", format!("it was {}{by} at {at}{comment}", verdict(&row.ruling)))))
}

fn reasons(situation: &Situation<'_>, step: &StepRow) -> Result<Vec<Reason>, CliError> {
    let mut reasons = waits::reasons(situation, step)?;
    if let (Some(children), true) = (step.children, step.status.is_terminal()) {
        reasons.push(Reason::new("items", items_text(children)));
    }
    match step.status {
        StepStatus::Skipped => {
            reasons.extend(step.skip_reason.as_ref().map(|reason| Reason::new("skipped", reason.as_str())));
        }
        StepStatus::Failed => {
            reasons
                .extend(step.failure.as_ref().map(|failure| Reason::new(failure.kind.as_str(), failure.to_string())));
        }
        StepStatus::Canceled => reasons.push(Reason::new("canceled", "the run was canceled before the step was done")),
        _ => {}
    }
    if matches!(step.kind.as_str(), APPROVAL | GATE) && step.status.is_terminal() {
        reasons.extend(decision(situation, step)?);
    }
    reasons.extend(ran::reasons(situation, step)?);
    Ok(reasons)
}
