//! Versioned JSON: every document carries `"schema": 1`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::error::CliError;
use stepwell_base::visible::is_hidden;
use stepwell_store::{Children, RunRow, StepRow};

pub const SCHEMA: u32 = 1;

pub fn versioned(value: Value) -> Value {
    let mut document = Map::new();
    document.insert("schema".to_owned(), json!(SCHEMA));
    match value {
        Value::Object(fields) => document.extend(fields),
        other => {
            document.insert("data".to_owned(), other);
        }
    }
    Value::Object(document)
}

pub fn error(error: &CliError, hints: &[String]) -> Value {
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    let mut fields = json!({ "code": error.kind.code(), "message": error.message(), "hint": hint });
    if let Some(problems) = error.problems() {
        fields["problems"] = problems;
    }
    json!({ "error": fields })
}

/// Escapes JSON text for a terminal without changing its meaning.
pub fn visible(json: &str) -> Cow<'_, str> {
    // Line feeds inside text are already escaped; the others separate values.
    let hides = |c: char| c != '\n' && is_hidden(c);
    if !json.contains(hides) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            c if hides(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
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
        "priority": run.options.priority,
        "scheduled_at": run.scheduled_at(),
        "failure": run.failure,
        "pause_reason": run.pause_reason,
        "origin": run.options.origin,
        "project": run.options.project,
        "pruned_at": run.pruned_at,
    })
}

/// A step as `show` prints it.
pub fn step_json(step: &StepRow) -> Value {
    let produced = step.outputs.clone().unwrap_or_default();
    let outputs: Map<String, Value> = produced
        .artifacts
        .iter()
        .map(|(name, artifact)| {
            let fields = json!({ "digest": artifact.digest, "size": artifact.size, "media_type": artifact.media_type });
            (name.clone(), fields)
        })
        .collect();
    json!({
        "id": step.id,
        "parent": step.parent,
        "item": step.item,
        "kind": step.kind,
        "status": step.status.as_str(),
        "attempts": step.attempts,
        "outputs": outputs,
        "values": produced.values,
        "key": step.key,
        "reused_from": step.reused_from,
        "children": step.children.map(|Children { total, done, failed }| json!({ "total": total, "done": done, "failed": failed })),
        "resources": step.resources,
        "progress": step.progress.map(|mark| json!({ "done": mark.done, "total": mark.total, "at": mark.at })),
        "last_step": step.last_step,
        "last_doc_index": step.last_doc_index,
        "tokens_so_far": step.tokens_so_far,
        "loss": step.loss,
        "failure": step.failure,
        "wait": step.wait,
        "compute_seconds": step.compute_ms as f64 / 1000.0,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_steers_nothing_and_means_the_same() {
        let value = json!({ "text": "\x1b[2J\u{9b}2J\u{7f}\u{202e}\n" });
        let text = value.to_string();
        let shown = visible(&text);
        assert!(shown.is_ascii() && !shown.contains(is_hidden), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
