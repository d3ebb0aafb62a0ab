//! `-S key=value`: replaces the default of a param with a value of the same type.

use serde_json::{Map, Number, Value};

use super::synonyms::{Meant, meant};
use crate::diagnostic::Problems;
use crate::document::{Assigned, describe, read_value};
use stepwell_base::json::{self, DEPTH, Limit};
use stepwell_base::{shell, suggest};

/// Applies overrides in order; the last one wins.
pub(super) fn apply(params: &mut Map<String, Value>, overrides: &[(String, String)], problems: &mut Problems) {
    for (key, text) in overrides {
        if let Err((message, hint)) = apply_one(params, key, text) {
            problems.without_place(message).hint(hint);
        }
    }
}

pub(crate) type Refusal = (String, String);

/// Replaces defaults with values of the step that starts the workflow.
pub(super) fn apply_values(params: &mut Map<String, Value>, given: &Map<String, Value>, problems: &mut Problems) {
    for (name, value) in given {
        if let Err((message, hint)) = set(params, name, value) {
            problems.without_place(message).hint(hint);
        }
    }
}

/// Replaces one default.
///
/// # Errors
/// Message and hint, when no such param exists, or the value is of another type.
pub(crate) fn set(params: &mut Map<String, Value>, name: &str, value: &Value) -> Result<(), Refusal> {
    let Some(default) = params.get(name) else {
        return Err((format!("the workflow has no param `{name}`"), known_param(params, name)));
    };
    let fitting = fit(name, default, value.clone())?;
    params.insert(name.to_owned(), fitting);
    Ok(())
}

/// The hint for a param that does not exist.
pub(crate) fn known_param(params: &Map<String, Value>, name: &str) -> String {
    suggest::hint(name, "params", params.keys().map(String::as_str))
}

/// The defaults of the params that have other values.
pub(super) fn replaced(defaults: &Map<String, Value>, params: &Map<String, Value>) -> Map<String, Value> {
    let differs = |(name, default): &(&String, &Value)| params.get(*name).is_some_and(|value| value != *default);
    defaults.iter().filter(differs).map(|(name, default)| (name.clone(), default.clone())).collect()
}

fn apply_one(params: &mut Map<String, Value>, key: &str, text: &str) -> Result<(), Refusal> {
    let Some(default) = slot(params, key, text)? else { return Ok(()) };
    *default = typed(key, default, text)?;
    Ok(())
}

/// Finds the default that a dotted key names. `text` is only for hints.
fn slot<'a>(params: &'a mut Map<String, Value>, key: &str, text: &str) -> Result<Option<&'a mut Value>, Refusal> {
    let unknown = || format!("unknown param `{key}` in `-S {key}=...`");
    let mut table = params;
    let mut parents = String::new();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if !table.contains_key(part) {
            return Err((unknown(), hint(table, &parents, part, text)));
        }
        let parent = &*table;
        let elsewhere =
            key.rsplit('.').next().filter(|last| parents.is_empty() && parent.contains_key(*last)).map(str::to_owned);
        let Some(value) = table.get_mut(part) else { break };
        if parts.peek().is_none() {
            return Ok(Some(value));
        }
        parents = if parents.is_empty() { part.to_owned() } else { format!("{parents}.{part}") };
        let found = describe(value);
        table = match value {
            Value::Object(inner) => inner,
            Value::Array(items) if items.iter().all(|item| named(item).is_some()) => {
                let name = parts.next().unwrap_or_default();
                let names: Vec<String> = items.iter().filter_map(named).map(str::to_owned).collect();
                let Some(index) = names.iter().position(|known| known == name) else {
                    return Err((unknown(), unnamed(&parents, name, &names, elsewhere.as_deref(), text)));
                };
                let item = &mut items[index];
                let Some(last) = parts.peek().copied() else { return Ok(Some(item)) };
                parents = format!("{parents}.{name}");
                let Value::Object(item) = item else { break };
                let known = item.keys().map(String::as_str);
                if !item.contains_key(last) && suggest::nearest(last, known).is_none() {
                    // What an entry leaves out has a default that only the step knows.
                    item.insert(last.to_owned(), Value::Null);
                }
                item
            }
            _ => {
                let hint = format!("`{parents}` is {found}: set it with `-S {parents}=...`");
                return Err((unknown(), hint));
            }
        };
    }
    Ok(None)
}

/// The name of an entry in a list of named tables.
fn named(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

/// The hint for a key that `table` lacks.
fn hint(table: &Map<String, Value>, parents: &str, part: &str, text: &str) -> String {
    let known: Vec<&str> = table.keys().map(String::as_str).collect();
    if !parents.is_empty() {
        let near =
            suggest::nearest(part, known.iter().copied()).map(|near| format!("did you mean `{parents}.{near}`? "));
        return format!("{}{}", near.unwrap_or_default(), list(&format!("keys of `{parents}`"), &known));
    }
    if let Some(Meant { param, remark }) = meant(table, part) {
        return match remark {
            None => format!("did you mean {}?", set_to(param, text)),
            Some(remark) => format!("{remark}: -S {param}=..."),
        };
    }
    match parts_with(table, part) {
        Some((outer, names)) => {
            let first = set_to(&format!("{outer}.{}.{part}", names.first().copied().unwrap_or("NAME")), text);
            format!("`{outer}` has `{part}` for each of {}: {first}", quoted(&names))
        }
        None => list("params", &known),
    }
}

/// The hint for an entry that a list of named tables lacks.
fn unnamed(parents: &str, name: &str, names: &[String], elsewhere: Option<&str>, text: &str) -> String {
    match (names, elsewhere) {
        ([], Some(param)) => format!("`{parents}` is an empty list; did you mean {}?", set_to(param, text)),
        ([], None) => format!("`{parents}` is an empty list: set it as a whole with `-S {parents}=...`"),
        _ => suggest::hint(name, &format!("names in `{parents}`"), names.iter().map(String::as_str)),
    }
}

/// Formats an option that can be pasted.
fn set_to(param: &str, text: &str) -> String {
    format!("-S {}", shell::quote(format!("{param}={text}")))
}

/// True if a param of this workflow resembles `name`, which is not a param.
pub fn is_near_a_param(params: &Map<String, Value>, name: &str) -> bool {
    meant(params, name).is_some() || parts_with(params, name).is_some()
}

/// Finds a param that is a list of named tables with `key`, and the names.
fn parts_with<'a>(params: &'a Map<String, Value>, key: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let with_key = |value: &'a Value| {
        let items = value.as_array().into_iter().flatten().filter(|item| item.get(key).is_some());
        items.filter_map(named).collect::<Vec<_>>()
    };
    params.iter().map(|(name, value)| (name.as_str(), with_key(value))).find(|(_, names)| !names.is_empty())
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn list(what: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("there are no {what}");
    }
    format!("known {what}: {}", quoted(known))
}

/// Reads `text` as a value of the type of `default`.
fn typed(key: &str, default: &Value, text: &str) -> Result<Value, Refusal> {
    match (default, read_value(text)) {
        // Text needs no quotes; TOML quotes around it are removed.
        (Value::String(_), Assigned::Value(Value::String(quoted))) => Ok(Value::String(quoted)),
        (Value::String(_), _) => Ok(Value::String(text.to_owned())),
        // A key that an entry of a list left out.
        (Value::Null, Assigned::Value(value)) => Ok(value),
        (Value::Null, Assigned::Other) => Ok(Value::String(text.to_owned())),
        (default, Assigned::Value(value)) => fit(key, default, value),
        (Value::Bool(_), Assigned::Other) if text == "True" || text == "False" => Ok(Value::Bool(text == "True")),
        (default, Assigned::Other) => {
            fit(key, default, from_json(text).unwrap_or_else(|| Value::String(text.to_owned())))
        }
        (_, Assigned::TooDeep) => Err((
            format!("param `{key}` is nested deeper than {DEPTH} levels in `-S {key}=...`"),
            "write it to a file, and give the name of that".to_owned(),
        )),
    }
}

/// A list or a table that a program wrote as JSON.
fn from_json(text: &str) -> Option<Value> {
    let is_container = text.trim_start().starts_with(['[', '{']);
    is_container.then(|| json::parse(text.as_bytes(), Limit::PAYLOAD).ok()).flatten()
}

/// Returns `given` if it has the type of `default`.
fn fit(key: &str, default: &Value, given: Value) -> Result<Value, Refusal> {
    let (expected, given) = match (default, given) {
        (Value::Number(number), Value::Number(given)) if number.is_f64() => match given.as_f64() {
            Some(float) => return Ok(Value::from(float)),
            None => return Err(mismatch(key, "a number", &Value::Number(given))),
        },
        (Value::Number(_), Value::Number(given)) if !given.is_f64() => return Ok(Value::Number(given)),
        (Value::Number(_), Value::Number(given)) if whole(&given).is_some() => return Ok(Value::from(whole(&given))),
        (Value::Object(default), Value::Object(given)) => return merge(key, default, given),
        (Value::Bool(_), given @ Value::Bool(_))
        | (Value::String(_), given @ Value::String(_))
        | (Value::Array(_), given @ Value::Array(_)) => return Ok(given),
        (Value::Number(number), given) if number.is_f64() => ("a number", given),
        (default, given) => (describe(default), given),
    };
    let refusal = mismatch(key, expected, &given);
    match (default, &given) {
        (Value::Array(items), Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            let example = set_to(key, &as_list(items, &given));
            Err((refusal.0, format!("{}; did you mean {example}?", refusal.1)))
        }
        _ => Err(refusal),
    }
}

/// The list, as TOML, that a person means with `4` or `4,5` in place of one.
fn as_list(default: &[Value], given: &Value) -> String {
    let Value::String(text) = given else { return format!("[{given}]") };
    let of_texts = default.iter().any(Value::is_string);
    let item = |part: &str| match read_value(part) {
        Assigned::Value(value) if !of_texts || value.is_string() => value.to_string(),
        _ => Value::from(part).to_string(),
    };
    let parts = text.trim_matches(['[', ']', '(', ')']).split(',').map(str::trim).filter(|part| !part.is_empty());
    format!("[{}]", parts.map(item).collect::<Vec<_>>().join(", "))
}

/// The integer that a number such as `1e3` stands for.
fn whole(number: &Number) -> Option<i64> {
    /// All integers up to here have a form as `f64`.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() <= LARGEST).map(|value| value as i64)
}

/// Merges a table: it replaces only the keys that it gives. They must exist, unless the default is empty.
fn merge(key: &str, default: &Map<String, Value>, given: Map<String, Value>) -> Result<Value, Refusal> {
    if default.is_empty() {
        return Ok(Value::Object(given));
    }
    let mut merged = default.clone();
    for (name, value) in given {
        let path = format!("{key}.{name}");
        match default.get(&name) {
            Some(inner) => merged.insert(name, fit(&path, inner, value)?),
            None => {
                let known: Vec<&str> = default.keys().map(String::as_str).collect();
                let hint = list(&format!("keys of `{key}`"), &known);
                return Err((format!("unknown param `{path}` in `-S {key}=...`"), hint));
            }
        };
    }
    Ok(Value::Object(merged))
}

fn mismatch(key: &str, expected: &str, given: &Value) -> Refusal {
    (
        format!("param `{key}` must be {expected}, but {given} is {}", describe(given)),
        "an override keeps the type of the default in [params]".to_owned(),
    )
}
