//! The item of a fan-out that `best`, `min` or `max` chose for a step, found by the content that the step reads.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::error::CliError;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::item::item_name;
use stepwell_store::{Reader, StepRow};
use stepwell_workflow::spec::WorkflowSpec;

use super::value_text::cut;

/// Most characters of an item.
const ITEM_CHARACTERS: usize = 32;
/// Filters that choose one child.
const FILTERS: [&str; 3] = ["best(", "min(by", "max(by"];

/// Text such as `chose count[1] (item 2.txt)` for each choice that the arguments of a step contain.
pub fn chosen(reader: &Reader, run: RunId, spec: &WorkflowSpec, step: &StepRow) -> Result<Vec<String>, CliError> {
    let own = step.parent.as_ref().unwrap_or(&step.id);
    let Some(template) = spec.steps.iter().find(|spec| spec.id == *own).map(|spec| Value::from(spec.with.clone()))
    else {
        return Ok(Vec::new());
    };
    let mut texts = Vec::new();
    strings(&template, &mut texts);
    texts.retain(|text| FILTERS.iter().any(|filter| text.contains(filter)));
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let fan_outs: Vec<&StepId> = spec
        .steps
        .iter()
        .filter(|other| other.for_each.is_some() && texts.iter().any(|text| names_step(text, other.id.as_str())))
        .map(|other| &other.id)
        .collect();
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
