//! The JSON schema of workflow files, for editors and people.

use serde_json::{Map, Value, json};

use super::catalog::{Catalog, Given, Gives, KindInfo};
use super::kinds::{COMMAND, SHELL};

/// JSON schema (draft 2020-12) of a workflow file, with the arguments of every kind in `catalog`.
/// Every argument also accepts a template.
pub fn workflow_schema(catalog: &Catalog) -> Value {
    let mut definitions = Map::from_iter([
        (
            "template".to_owned(),
            json!({ "type": "string", "pattern": "\\{\\{|\\{%", "description": "Text with `{{ expression }}`" }),
        ),
        (
            "duration".to_owned(),
            json!({
                "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": "^([0-9.]+(ms|s|m|h|d) *)+$" }],
                "description": "Such as \"30s\", \"5m\", \"1h30m\", or a number of seconds"
            }),
        ),
    ]);
    for info in &catalog.kinds {
        definitions.insert(info.kind.to_owned(), arguments(info));
    }
    if let Some(command) = definitions.get(COMMAND).cloned() {
        definitions.insert(SHELL.to_owned(), shell(command));
    }
    let own = |kind: &str| definitions.contains_key(kind).then(|| json!(kind));
    let kinds: Vec<Value> = catalog.kinds.iter().map(|info| json!(info.kind)).chain(own(SHELL)).collect();
    let mut arguments_by_kind: Vec<Value> = catalog.kinds.iter().map(kind_rule).collect();
    arguments_by_kind.extend(own(SHELL).map(|_| {
        json!({
            "if": { "properties": { "kind": { "const": SHELL } } },
            "then": { "properties": { "with": { "$ref": "#/$defs/shell" } }, "required": ["with"] }
        })
    }));
    let mut step = step_schema(&kinds);
    if !arguments_by_kind.is_empty() {
        step["allOf"] = Value::Array(arguments_by_kind);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stepwell workflow",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "step"],
        "properties": {
            "name": { "type": "string", "pattern": "^[A-Za-z0-9_-]+$" },
            "description": { "type": "string" },
            "params": {
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
                "description": "Defaults; `-S name=value` overrides one"
            },
            "secrets": {
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": { "env": { "type": "string" }, "file": { "type": "string" } }
                },
                "description": "Values that are never kept: read when an attempt starts, named by `{{ secrets.NAME }}` in a `command`"
            },
            "outputs": {
                "type": "object",
                "description": "What a run gives to the step of kind `workflow` that started it; text may hold templates"
            },
            "budget": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "maximum_compute": { "$ref": "#/$defs/duration" },
                    "cost_per_hour": { "type": "number", "exclusiveMinimum": 0 },
                    "maximum_cost": { "type": "number", "exclusiveMinimum": 0 }
                },
                "dependentRequired": { "maximum_cost": ["cost_per_hour"] },
                "description": "The run is paused when its attempts have used this up"
            },
            "sla": {
                "type": "object",
                "additionalProperties": false,
                "required": ["finish_within"],
                "properties": { "finish_within": { "$ref": "#/$defs/duration" } },
                "description": "From the submission; an alert says when it is at risk or missed"
            },
            "step": { "type": "array", "minItems": 1, "items": step }
        },
        "$defs": definitions
    })
}

fn step_schema(kinds: &[Value]) -> Value {
    let duration = json!({ "$ref": "#/$defs/duration" });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "kind"],
        "properties": {
            "id": { "type": "string", "pattern": "^[A-Za-z0-9_-]+$" },
            "kind": { "enum": kinds },
            "needs": {
                "type": ["array", "string"],
                "items": { "type": "string" },
                "description": "Steps to wait for, beside those that templates refer to"
            },
            "with": { "type": "object", "description": "Arguments of the kind" },
            "for_each": { "type": "string", "description": "Expression that gives a list: one child step per item" },
            "when": { "type": "string", "description": "Expression: the step is skipped when it is false" },
            "retry": {
                "type": ["object", "integer"],
                "minimum": 1,
                "description": "A number counts attempts, the first one included",
                "additionalProperties": false,
                "properties": {
                    "initial_interval": duration,
                    "backoff_coefficient": { "type": "number", "minimum": 1 },
                    "maximum_interval": duration,
                    "maximum_attempts": { "type": "integer", "minimum": 1 },
                    "non_retryable": {
                        "type": "array",
                        "items": { "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 1, "maximum": 255 }] },
                        "description": "Kinds of failure, such as \"timeout\", and exit codes that end the step at once"
                    }
                }
            },
            "resources": {
                "type": "object",
                "additionalProperties": {
                    "anyOf": [
                        { "type": "integer", "minimum": 1 },
                        { "type": "string", "pattern": "^[0-9.]+ *([KMGT]i?B|B)?$" }
                    ]
                },
                "description": "Units of the pools in stepwell.toml that every attempt holds, such as { gpu = 1, memory = \"8GiB\" }"
            },
            "priority": { "type": "integer", "description": "Of all ready steps the highest is claimed first; 0 by default" },
            "rate_limit": { "type": "string", "description": "A name in [rate_limits] of stepwell.toml" },
            "executor": { "type": "string", "description": "Where attempts run: local, or a name in [executors] of stepwell.toml" },
            "timeout": {
                "anyOf": [duration, {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "start_to_close": duration, "schedule_to_close": duration, "heartbeat": duration }
                }],
                "description": "A duration limits each attempt, like `start_to_close`"
            }
        }
    })
}

/// The arguments of `shell`: those of a command with `run` in place of `argv` and `shell`.
fn shell(mut command: Value) -> Value {
    if let Some(properties) = command.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove("argv");
        properties.remove("shell");
        let run = json!({ "type": "string", "description": "Script for `/bin/sh -euc`: it stops at the first error" });
        properties.insert("run".to_owned(), run);
    }
    command["required"] = json!(["run"]);
    command["description"] = json!("runs a shell script; short for a `command`");
    command
}

/// Requires the kind's schema for `with` in steps of that kind. `with` is optional only if the kind requires nothing.
fn kind_rule(info: &KindInfo) -> Value {
    let mut then = json!({ "properties": { "with": { "$ref": format!("#/$defs/{}", info.kind) } } });
    if info.schema.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty()) {
        then["required"] = json!(["with"]);
    }
    json!({ "if": { "properties": { "kind": { "const": info.kind } } }, "then": then })
}

/// Returns the schema of a kind's `with` as a definition of the workflow's schema.
fn arguments(info: &KindInfo) -> Value {
    let mut schema = info.schema.clone();
    allow_templates(&mut schema);
    move_references(&mut schema, info.kind);
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.insert("description".to_owned(), Value::from(info.summary));
        schema.insert("x-gives".to_owned(), gives(info.gives));
    }
    schema
}

fn gives(Gives { outputs, values }: Gives) -> Value {
    let about = |given: Given| match given {
        Given::KeysOf(argument) => json!(format!("the keys of `{argument}`")),
        Given::OfChild => json!("the keys of `[outputs]` in the workflow that is started"),
        declared => match declared.names() {
            Some(names) => names.into_iter().map(|(name, about)| (name.to_owned(), json!(about))).collect(),
            None => json!("what the program writes"),
        },
    };
    json!({ "outputs": about(outputs), "values": about(values) })
}

/// Allows a template in place of every property and list item.
fn allow_templates(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    for key in ["properties", "$defs"] {
        for (_, inner) in schema.get_mut(key).and_then(Value::as_object_mut).into_iter().flatten() {
            allow_templates(inner);
            if key == "properties" {
                or_template(inner);
            }
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(key).filter(|inner| inner.is_object()) {
            allow_templates(inner);
            or_template(inner);
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        schema.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(allow_templates);
    }
}

fn or_template(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let mut wrapped = Map::new();
    for key in ["description", "default"] {
        if let Some(value) = object.remove(key) {
            wrapped.insert(key.to_owned(), value);
        }
    }
    wrapped.insert("anyOf".to_owned(), json!([object, { "$ref": "#/$defs/template" }]));
    *schema = Value::Object(wrapped);
}

/// Rebases references inside a kind's schema, which is now a definition of the workflow's schema.
fn move_references(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(target) if key == "$ref" && target != "#/$defs/template" => {
                        if let Some(path) = target.strip_prefix('#') {
                            *target = format!("#/$defs/{kind}{path}");
                        }
                    }
                    value => move_references(value, kind),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, kind)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Placement;

    fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
        match schema {
            Value::Object(entries) => {
                found.extend(entries.get("$ref").and_then(Value::as_str));
                entries.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_of_the_schema_resolves() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": { "a": { "$ref": "#/$defs/A" }, "b": { "type": "array", "items": { "type": "integer" } } },
            "$defs": { "A": { "type": "object", "properties": { "inner": { "$ref": "#/$defs/A" } } } }
        });
        let outputs = Given::Named(&[("documents", "NDJSON")]);
        let gives = Gives { outputs, values: Given::Any };
        let info =
            KindInfo { kind: "corpus.import", summary: "reads text", placement: Placement::Child, schema, gives };
        let schema = workflow_schema(&Catalog { kinds: vec![info], ..Catalog::default() });
        assert_eq!(schema["$defs"]["corpus.import"]["x-gives"]["outputs"], json!({ "documents": "NDJSON" }));
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(found.contains(&"#/$defs/corpus.import/$defs/A"), "{found:?}");
        for target in found {
            assert!(schema.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
        let b = &schema["$defs"]["corpus.import"]["properties"]["b"];
        assert_eq!(b["anyOf"][1]["$ref"], "#/$defs/template", "an argument may be a template");
        assert_eq!(schema["properties"]["step"]["items"]["allOf"][0]["then"]["required"], json!(["with"]));
    }
}
