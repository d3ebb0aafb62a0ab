//! Arguments of a step, as far as they are known before it runs.

use serde_json::{Number, Value, json};

use super::names::{Names, StepShape};
use crate::diagnostic::Span;
use crate::document::{Data, Located, Node, Table};
use crate::template::{Form, Reference, Segment, constant, form, whole_reference};

/// A value in `with` and its position.
pub(super) struct Argument {
    pub(super) span: Span,
    pub(super) shape: Shape,
    /// The path of the param that is the whole value, such as `optimizer.kind`.
    pub(super) param: Option<String>,
}

/// The known part of a value.
pub(super) enum Shape {
    Null,
    Bool(bool),
    Number(Number),
    /// `None` for text that is known only at run time.
    Text(Option<String>),
    List(Vec<Argument>),
    /// Any number of outputs or values of a fan-out.
    FanOut(Box<Argument>),
    Table(Vec<Entry>),
    /// Known only at run time.
    Unknown,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) key_span: Span,
    pub(super) value: Argument,
}

impl Argument {
    /// Describes the whole `with` table; problems about missing entries are reported at `place`.
    pub(super) fn of_table(table: &Table, place: &Span, names: &Names) -> Argument {
        Argument { span: place.clone(), shape: entries(table, names), param: None }
    }

    fn of(node: &Node, names: &Names) -> Argument {
        let shape = match &node.data {
            Data::Bool(value) => Shape::Bool(*value),
            Data::Number(value) => Shape::Number(value.clone()),
            Data::List(items) => Shape::List(items.iter().map(|item| Argument::of(item, names)).collect()),
            Data::Table(table) => entries(table, names),
            Data::Text(text) => match (constant(text, &names.params), form(text)) {
                (Some(Ok(value)), _) => Argument::of_json(&value, &node.span).shape,
                (_, Form::Literal) => Shape::Text(Some(text.clone())),
                (_, Form::Mixed) => Shape::Text(None),
                (_, Form::Expression { source, .. }) => match whole_reference(source) {
                    Some(reference) => referenced(&reference, &node.span, names),
                    None => Shape::Unknown,
                },
            },
        };
        let param = match &node.data {
            Data::Text(text) => param(text),
            _ => None,
        };
        Argument { span: node.span.clone(), shape, param }
    }

    /// True if the value, or a part of it, is a param that an override has set.
    pub(super) fn is_set_by(&self, names: &Names) -> bool {
        let is_own = self.param.as_ref().is_some_and(|param| names.is_overridden(param));
        is_own
            || match &self.shape {
                Shape::List(items) => items.iter().any(|item| item.is_set_by(names)),
                Shape::Table(entries) => entries.iter().any(|entry| entry.value.is_set_by(names)),
                _ => false,
            }
    }

    fn of_json(value: &Value, span: &Span) -> Argument {
        let shape = match value {
            Value::Null => Shape::Null,
            Value::Bool(value) => Shape::Bool(*value),
            Value::Number(value) => Shape::Number(value.clone()),
            Value::String(value) => Shape::Text(Some(value.clone())),
            Value::Array(items) => Shape::List(items.iter().map(|item| Argument::of_json(item, span)).collect()),
            Value::Object(object) => {
                let entry = |(name, value): (&String, &Value)| Entry {
                    name: name.clone(),
                    key_span: span.clone(),
                    value: Argument::of_json(value, span),
                };
                Shape::Table(object.iter().map(entry).collect())
            }
        };
        Argument { span: span.clone(), shape, param: None }
    }

    /// Returns the value, with a stand-in for each artifact; `None` unless all of it is known.
    pub(super) fn to_json(&self) -> Option<Value> {
        Some(match &self.shape {
            Shape::Null => Value::Null,
            Shape::Bool(value) => Value::Bool(*value),
            Shape::Number(number) => Value::Number(number.clone()),
            Shape::Text(text) => Value::String(text.clone()?),
            Shape::List(items) => Value::Array(items.iter().map(Argument::to_json).collect::<Option<_>>()?),
            Shape::FanOut(item) => Value::Array(vec![item.to_json()?]),
            Shape::Table(entries) => {
                let entry = |entry: &Entry| Some((entry.name.clone(), entry.value.to_json()?));
                Value::Object(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            Shape::Unknown => return None,
        })
    }

    pub(super) fn describe(&self) -> String {
        match &self.shape {
            Shape::Null => "nothing".to_owned(),
            Shape::Bool(value) => format!("`{value}`"),
            Shape::Number(number) => format!("the number {number}"),
            Shape::Text(Some(text)) if text.chars().count() <= 40 => format!("the text {text:?}"),
            Shape::Text(_) => "text".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::FanOut(_) => "a list (the step is a fan-out)".to_owned(),
            Shape::Table(entries) if is_artifact(entries) => "an artifact".to_owned(),
            Shape::Table(_) => "a table".to_owned(),
            Shape::Unknown => "a template".to_owned(),
        }
    }
}

/// The path of a param, if the text is nothing but a reference to it.
fn param(text: &str) -> Option<String> {
    let Form::Expression { source, .. } = form(text) else { return None };
    let Reference { root, path, .. } = whole_reference(source)?;
    let name = |segment: &Segment| match segment {
        Segment::Name(name) => Some(name.clone()),
        _ => None,
    };
    let names: Vec<String> = path.iter().map(name).collect::<Option<_>>()?;
    (root == "params" && !names.is_empty()).then(|| names.join("."))
}

fn entries(table: &Table, names: &Names) -> Shape {
    let entry = |(key, node): &(Located<String>, Node)| Entry {
        name: key.value.clone(),
        key_span: key.span.clone(),
        value: Argument::of(node, names),
    };
    Shape::Table(table.entries.iter().map(entry).collect())
}

fn is_artifact(entries: &[Entry]) -> bool {
    entries.len() == 3 && entries.iter().any(|entry| entry.name == "digest")
}

/// Returns the known shape of an expression that consists of a reference to a secret, an output or a value.
fn referenced(reference: &Reference, span: &Span, names: &Names) -> Shape {
    let (id, group) = match (reference.root.as_str(), reference.path.as_slice()) {
        ("secrets", _) => return Shape::Text(None),
        ("steps", [Segment::Name(id), Segment::Name(group), Segment::Name(_)]) => (id, group),
        _ => return Shape::Unknown,
    };
    let one = match group.as_str() {
        "outputs" => {
            let artifact = json!({ "digest": "0".repeat(64), "size": 0, "media_type": "" });
            Argument::of_json(&artifact, span)
        }
        _ => Argument { span: span.clone(), shape: Shape::Unknown, param: None },
    };
    match names.steps.get(id).map(|step| step.shape) {
        Some(StepShape::Many) => Shape::FanOut(Box::new(one)),
        Some(StepShape::One) => one.shape,
        None => Shape::Unknown,
    }
}
