//! A workflow as JSON: parameters with their meaning, and steps.

use serde_json::{Value, json};

use stepwell_workflow::outline;
use stepwell_workflow::spec::WorkflowSpec;

/// The parameters of a file in their order, with their comments.
pub fn params_json(text: &str) -> Value {
    let params = outline::params(text).into_iter().map(|param| {
        json!({ "name": param.name, "default": param.default, "type": param.kind, "comment": param.comment, "group": param.group })
    });
    params.collect()
}

pub fn steps_json(spec: &WorkflowSpec) -> Value {
    let steps = spec.steps.iter().map(|step| {
        json!({ "id": step.id, "kind": step.kind, "needs": step.needs, "for_each": step.for_each, "when": step.when })
    });
    steps.collect()
}
