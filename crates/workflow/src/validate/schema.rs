//! Checks the known arguments against the JSON schema of a step kind. Understands the keywords that
//! `schemars` writes: `$ref`, `type`, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `properties`, `required`,
//! `additionalProperties`, `items`, bounds of numbers and lengths.

use serde_json::{Map, Value};

use super::argument::{Argument, Entry, Shape};
use super::names::Names;
use crate::diagnostic::{Problems, Span};
use crate::draft::{STEP_KEYS, in_command};
use crate::kinds::COMMAND;
use stepwell_base::suggest;

/// Reports the arguments that `schema` rejects; returns true if there are none.
pub(super) fn check(schema: &Value, arguments: &Argument, kind: &str, names: &Names, problems: &mut Problems) -> bool {
    let checker = Checker { root: schema, kind, names };
    let mismatches = checker.check(schema, arguments, "", MAXIMUM_DEPTH);
    let fits = mismatches.is_empty();
    for mismatch in mismatches {
        let problem = match mismatch.param.is_some() {
            // The line in the file only passes on what the person has set.
            true => problems.without_place(mismatch.message),
            false => problems.at(&mismatch.span, mismatch.message),
        };
        problem.label(mismatch.label).hint(mismatch.hint);
    }
    fits
}

/// Bounds recursion: schemas may refer to themselves through `$ref`.
const MAXIMUM_DEPTH: usize = 64;

struct Mismatch {
    span: Span,
    /// The param that is the wrong value, if an override has set it.
    param: Option<String>,
    message: String,
    label: String,
    hint: String,
}

struct Checker<'a> {
    root: &'a Value,
    kind: &'a str,
    names: &'a Names,
}

impl<'a> Checker<'a> {
    fn check(&self, schema: &'a Value, argument: &Argument, path: &str, depth: usize) -> Vec<Mismatch> {
        let Some(schema) = self.resolve(schema) else { return Vec::new() };
        if matches!(argument.shape, Shape::Unknown) || depth == 0 {
            return Vec::new();
        }
        let mut mismatches = Vec::new();
        if let Some(mismatch) = self.own_type(schema, argument, path) {
            return vec![mismatch];
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(branches) = schema.get(key).and_then(Value::as_array) {
                mismatches.extend(self.any_of(branches, argument, path, depth));
            }
        }
        for branch in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            mismatches.extend(self.check(branch, argument, path, depth - 1));
        }
        match &argument.shape {
            Shape::Table(entries) => mismatches.extend(self.table(schema, entries, argument, path, depth)),
            Shape::FanOut(item) => {
                if let Some(item_schema) = schema.get("items") {
                    mismatches.extend(self.check(item_schema, item, &format!("{path}[0]"), depth - 1));
                }
            }
            Shape::List(items) => {
                if let Some(item_schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        mismatches.extend(self.check(item_schema, item, &format!("{path}[{index}]"), depth - 1));
                    }
                }
            }
            _ => {}
        }
        mismatches
    }

    /// Follows `$ref`; `None` for a schema that accepts everything.
    fn resolve(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let mut schema = schema.as_object()?;
        for _ in 0..MAXIMUM_DEPTH {
            let Some(target) = schema.get("$ref").and_then(Value::as_str) else { return Some(schema) };
            schema = self.root.pointer(target.strip_prefix('#')?)?.as_object()?;
        }
        None
    }

    /// Checks `type`, `enum`, `const` and bounds.
    fn own_type(&self, schema: &'a Map<String, Value>, argument: &Argument, path: &str) -> Option<Mismatch> {
        let types = types(schema);
        if !types.is_empty() && !types.iter().any(|name| has_type(argument, name)) {
            let expected: Vec<&str> =
                types.iter().filter(|name| **name != "null").map(|name| type_name(schema, name)).collect();
            let mismatch = self.expected(&expected.join(" or "), argument, path);
            let example = example(schema).filter(|_| self.overridden(argument).is_none());
            let Some(example) = example else { return Some(mismatch) };
            let name = path.rsplit('.').next().unwrap_or(path);
            return Some(Mismatch { hint: format!("write it like this: `{name} = {example}`"), ..mismatch });
        }
        if let Some(choices) = choices(schema) {
            return self.choice(&choices, argument, path);
        }
        bound(schema, &argument.shape).map(|bound| self.expected(&bound, argument, path))
    }

    fn expected(&self, expected: &str, argument: &Argument, path: &str) -> Mismatch {
        Mismatch {
            span: argument.span.clone(),
            param: self.overridden(argument),
            message: format!("{} must be {expected}, not {}", self.subject(argument, path), argument.describe()),
            label: format!("expected {expected}"),
            hint: format!("`stepwell workflow schema` shows the arguments of `{}`", self.kind),
        }
    }

    /// The param that is the value, if an override has set it: the file does not show what is wrong.
    fn overridden(&self, argument: &Argument) -> Option<String> {
        argument.param.clone().filter(|param| self.names.is_overridden(param))
    }

    /// Names a value for people: the param that a person has set, or the argument.
    fn subject(&self, argument: &Argument, path: &str) -> String {
        match self.overridden(argument) {
            Some(param) => format!("param `{param}`"),
            None => format!("argument `{path}`"),
        }
    }

    fn choice(&self, choices: &[&Value], argument: &Argument, path: &str) -> Option<Mismatch> {
        let known = || choices.iter().filter_map(|choice| choice.as_str());
        let (matches, given) = match &argument.shape {
            Shape::Text(Some(text)) => (choices.iter().any(|choice| choice.as_str() == Some(text)), text.as_str()),
            Shape::Text(None) => (true, ""),
            Shape::Bool(value) => (choices.contains(&&Value::Bool(*value)), ""),
            Shape::Number(number) => (choices.contains(&&Value::Number(number.clone())), ""),
            Shape::Null => (choices.contains(&&Value::Null), ""),
            _ => (false, ""),
        };
        (!matches).then(|| Mismatch {
            span: argument.span.clone(),
            param: self.overridden(argument),
            message: format!("{} cannot be {}", self.subject(argument, path), argument.describe()),
            label: "not a known value".to_owned(),
            hint: match self.overridden(argument) {
                // Its comment may be out of sight.
                Some(_) => suggest::meant(given, known()) + &suggest::hint("", "values", known()),
                None => suggest::hint(given, "values", known()),
            },
        })
    }

    /// Requires one branch to fit. Otherwise returns the problems of the intended branch, if it is clear.
    fn any_of(&self, branches: &'a [Value], argument: &Argument, path: &str, depth: usize) -> Vec<Mismatch> {
        let results: Vec<Vec<Mismatch>> =
            branches.iter().map(|branch| self.check(branch, argument, path, depth - 1)).collect();
        if results.iter().any(Vec::is_empty) {
            return Vec::new();
        }
        let leaves: Vec<Vec<&Map<String, Value>>> = branches.iter().map(|branch| self.leaves(branch, depth)).collect();
        let choices: Vec<&Value> = leaves.iter().flatten().filter_map(|leaf| choices(leaf)).flatten().collect();
        if let (false, Shape::Text(_)) = (choices.is_empty(), &argument.shape) {
            return self.choice(&choices, argument, path).into_iter().collect();
        }
        let meant = |leaf: &&Map<String, Value>| {
            types(leaf).iter().any(|name| *name != "null" && has_type(argument, name)) && same_tags(leaf, argument)
        };
        let mut candidates = results.into_iter().zip(&leaves).filter(|(_, leaves)| leaves.iter().any(meant));
        if let (Some((mismatches, _)), None) = (candidates.next(), candidates.next()) {
            return mismatches;
        }
        if let Some(mismatch) = self.tag(&leaves.concat(), argument, path) {
            return vec![mismatch];
        }
        let mut names: Vec<&str> = Vec::new();
        for leaf in leaves.iter().flatten() {
            for name in types(leaf).into_iter().filter(|name| *name != "null") {
                let name = type_name(leaf, name);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let expected = if names.is_empty() { "something else".to_owned() } else { names.join(" or ") };
        vec![self.expected(&expected, argument, path)]
    }

    /// Checks the tag: the property that selects one of several kinds of tables. Returns a mismatch if it is
    /// missing or has no known value.
    fn tag(&self, leaves: &[&Map<String, Value>], argument: &Argument, path: &str) -> Option<Mismatch> {
        let Shape::Table(entries) = &argument.shape else { return None };
        let tags = leaves.iter().filter_map(|leaf| leaf.get("properties")?.as_object()).flatten();
        let tags: Vec<(&String, &Value)> =
            tags.filter_map(|(name, schema)| Some((name, schema.get("const")?))).collect();
        let (name, _) = tags.first()?;
        let known: Vec<&Value> = tags.iter().filter(|(other, _)| other == name).map(|(_, tag)| *tag).collect();
        match entries.iter().find(|entry| entry.name == **name) {
            Some(entry) => self.choice(&known, &entry.value, &join(path, name)),
            None => {
                let known: Vec<String> = known.iter().map(|tag| tag.to_string()).collect();
                Some(Mismatch {
                    span: argument.span.clone(),
                    param: self.overridden(argument),
                    message: format!("`{}` needs the argument `{}`", self.kind, join(path, name)),
                    label: format!("`{}` is missing", join(path, name)),
                    hint: format!("add `{name} = ...`: one of {}", known.join(", ")),
                })
            }
        }
    }

    /// Returns the schemas among which nested `anyOf` and `oneOf` choose.
    fn leaves(&self, schema: &'a Value, depth: usize) -> Vec<&'a Map<String, Value>> {
        let Some(schema) = self.resolve(schema).filter(|_| depth > 0) else { return Vec::new() };
        let mut branches = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).peekable();
        if branches.peek().is_none() {
            return vec![schema];
        }
        branches.flatten().flat_map(|branch| self.leaves(branch, depth - 1)).collect()
    }

    fn table(
        &self,
        schema: &'a Map<String, Value>,
        entries: &[Entry],
        table: &Argument,
        path: &str,
        depth: usize,
    ) -> Vec<Mismatch> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties");
        let mut mismatches = Vec::new();
        for entry in entries {
            let known = properties.unwrap_or(&empty).keys().map(String::as_str);
            match (properties.and_then(|properties| properties.get(&entry.name)), additional) {
                (Some(property), _) => {
                    mismatches.extend(self.check(property, &entry.value, &join(path, &entry.name), depth - 1));
                }
                (None, Some(Value::Bool(false))) => mismatches.push(Mismatch {
                    span: entry.key_span.clone(),
                    param: self.overridden(table),
                    message: format!("unknown argument `{}` of `{}`", join(path, &entry.name), self.kind),
                    label: "not an argument".to_owned(),
                    hint: self
                        .other_name(path, &entry.name)
                        .unwrap_or_else(|| suggest::hint(&entry.name, "arguments", known)),
                }),
                (None, Some(schema)) => {
                    mismatches.extend(self.check(schema, &entry.value, &join(path, &entry.name), depth - 1));
                }
                (None, None) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| entries.iter().all(|entry| entry.name != *name)) {
            let expected = properties.and_then(|properties| properties.get(name));
            mismatches.push(Mismatch {
                span: table.span.clone(),
                param: self.overridden(table),
                message: format!("`{}` needs the argument `{}`", self.kind, join(path, name)),
                label: format!("`{}` is missing", join(path, name)),
                hint: self.addition(name, expected, if entries.is_empty() && path.is_empty() { "with." } else { "" }),
            });
        }
        mismatches
    }

    /// Answers an argument that another system has, or that is a key of the step.
    fn other_name(&self, path: &str, name: &str) -> Option<String> {
        if !path.is_empty() {
            return None;
        }
        if STEP_KEYS.contains(&name) {
            return Some(format!("`{name}` is a key of the step: write it beside `with`"));
        }
        if self.kind == COMMAND { in_command(name) } else { None }
    }

    /// Says what to add for an argument that is missing. `prefix` makes a line of its own for the first argument.
    fn addition(&self, name: &str, schema: Option<&'a Value>, prefix: &str) -> String {
        let about = schema.and_then(|schema| {
            let description = schema.get("description").or_else(|| self.resolve(schema)?.get("description"))?;
            description.as_str()?.lines().next()
        });
        let about = about.map(|about| format!(": {about}")).unwrap_or_default();
        let example = schema.and_then(Value::as_object).and_then(example);
        match (example, prefix) {
            (Some(example), "") => format!("add `{name} = {example}` to `with`{about}"),
            (Some(example), prefix) => format!("add the line `{prefix}{name} = {example}`{about}"),
            (None, _) => format!("add `{name} = ...` to `with`{about}"),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The first example of a schema, as TOML.
fn example(schema: &Map<String, Value>) -> Option<String> {
    schema.get("examples")?.as_array()?.first().map(toml)
}

fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn choices(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => Some(values.iter().collect()),
        (_, Some(value)) => Some(vec![value]),
        _ => None,
    }
}

fn has_type(argument: &Argument, name: &str) -> bool {
    match &argument.shape {
        Shape::Null => name == "null",
        Shape::Bool(_) => name == "boolean",
        Shape::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Shape::Text(_) => name == "string",
        Shape::List(_) | Shape::FanOut(_) => name == "array",
        Shape::Table(_) => name == "object",
        Shape::Unknown => true,
    }
}

fn type_name<'a>(schema: &Map<String, Value>, name: &'a str) -> &'a str {
    let is_artifact = || schema.get("properties").is_some_and(|properties| properties.get("digest").is_some());
    match name {
        "object" if is_artifact() => "an artifact",
        "boolean" => "true or false",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

/// True if the fixed properties of a branch of tables (the tag of an enum) fit the argument.
fn same_tags(branch: &Map<String, Value>, argument: &Argument) -> bool {
    let Shape::Table(entries) = &argument.shape else { return true };
    let properties = branch.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.filter_map(|(name, schema)| Some((name, schema.get("const")?))).all(|(name, tag)| {
        let entry = entries.iter().find(|entry| entry.name == *name);
        match entry.map(|entry| &entry.value.shape) {
            Some(Shape::Text(Some(text))) => tag.as_str() == Some(text),
            _ => false,
        }
    })
}

/// Describes the bound that a value breaks.
fn bound(schema: &Map<String, Value>, shape: &Shape) -> Option<String> {
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let breaks = |value: f64, low: &str, high: &str, unit: &str| match (limit(low), limit(high)) {
        (Some(low), _) if value < low => Some(format!("at least {low}{unit}")),
        (_, Some(high)) if value > high => Some(format!("at most {high}{unit}")),
        _ => None,
    };
    match shape {
        Shape::Number(number) => {
            let value = number.as_f64()?;
            let exclusive = match (limit("exclusiveMinimum"), limit("exclusiveMaximum")) {
                (Some(low), _) if value <= low => Some(format!("more than {low}")),
                (_, Some(high)) if value >= high => Some(format!("less than {high}")),
                _ => None,
            };
            breaks(value, "minimum", "maximum", "").or(exclusive)
        }
        Shape::Text(Some(text)) => breaks(text.chars().count() as f64, "minLength", "maxLength", " characters long"),
        Shape::List(items) => breaks(items.len() as f64, "minItems", "maxItems", " items long"),
        _ => None,
    }
}
