//! The item of a fan-out that `best`, `min` or `max` chose for a step, found by the content that the step reads.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;

use crate::error::CliError;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::item::item_name;
use stepwell_store::{Reader, StepRow};
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

use super::value_text::cut;

/// Most characters of an item.
const ITEM_CHARACTERS: usize = 32;
/// Filters that choose one child.
const FILTERS: [&str; 3] = ["best(", "min(by", "max(by"];

/// The steps of a workflow by id: a search for each of 100,000 steps would take half a minute.
pub struct StepSpecs<'s> {
    by_id: HashMap<&'s StepId, &'s StepSpec>,
    fan_outs: Vec<&'s StepId>,
}

impl<'s> StepSpecs<'s> {
    pub fn of(spec: &'s WorkflowSpec) -> StepSpecs<'s> {
        let fan_outs = spec.steps.iter().filter(|step| step.for_each.is_some()).map(|step| &step.id);
        StepSpecs { by_id: spec.steps.iter().map(|step| (&step.id, step)).collect(), fan_outs: fan_outs.collect() }
    }
}

/// Text such as `chose count[1] (item 2.txt)` for each choice that the arguments of a step contain.
pub fn chosen(reader: &Reader, run: RunId, specs: &StepSpecs<'_>, step: &StepRow) -> Result<Vec<String>, CliError> {
    let Some(own) = specs.by_id.get(step.parent.as_ref().unwrap_or(&step.id)) else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    own.with.values().for_each(|value| strings(value, &mut texts));
    texts.retain(|text| FILTERS.iter().any(|filter| text.contains(filter)));
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let is_named = |id: &&StepId| texts.iter().any(|text| names_step(text, id.as_str()));
    let fan_outs: Vec<&StepId> = specs.fan_outs.iter().copied().filter(is_named).collect();
    let mut digests = Vec::new();
    step.with.iter().for_each(|with| find_digests(with, &mut digests));
    let mut found = Vec::new();
    for fan_out in fan_outs {
        // Without an artifact, or with one that several items gave, nobody can tell.
        let mut items: Vec<StepId> = Vec::new();
        for digest in &digests {
            let producers = reader.producers(digest)?.into_iter();
            let own = producers.filter(|(of, item)| *of == run && is_item(item, fan_out)).map(|(_, item)| item);
            items.extend(own);
        }
        items.sort();
        items.dedup();
        if let [one] = items.as_slice() {
            let item = reader.find_step(run, one)?.and_then(|row| row.item);
            // Position and item: an item that is a number looks like a position.
            let item = item.map(|item| format!(" (item {})", cut(&item_name(&item), ITEM_CHARACTERS)));
            found.push(format!("chose {one}{}", item.unwrap_or_default()));
        }
    }
    Ok(found)
}

fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(entries) => entries.values().for_each(|entry| strings(entry, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn find_digests(value: &Value, found: &mut Vec<Digest>) {
    match value {
        Value::Object(entries) => {
            let digest = entries.get("digest").cloned().and_then(|digest| serde_json::from_value(digest).ok());
            found.extend(digest);
            entries.values().for_each(|entry| find_digests(entry, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_digests(item, found)),
        _ => {}
    }
}

/// True if a template names `steps.ID`.
fn names_step(text: &str, id: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_' || next == '-');
    text.match_indices(&format!("steps.{id}")).any(|(at, found)| is_end(&text[at + found.len()..]))
}

fn is_item(step: &StepId, fan_out: &StepId) -> bool {
    step.as_str().strip_prefix(fan_out.as_str()).is_some_and(|rest| rest.starts_with('['))
}
