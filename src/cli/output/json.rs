//! Versioned JSON: every document carries `"schema": 1`.

use serde_json::{Map, Value, json};

use crate::cli::error::CliError;
use crate::store::{Children, StepRow};

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

pub fn error(error: &CliError) -> Value {
    json!({ "error": { "code": error.code, "message": error.message, "hint": error.hint } })
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
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    })
}
