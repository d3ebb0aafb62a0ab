//! TOML text as a tree in which every key and value has its position in the file.

use serde_json::{Map, Number, Value};
use toml::de::{DeInteger, DeTable, DeValue};

use super::diagnostic::{Problems, Span};
use stepwell_base::json::{DEPTH, too_deep_at};
use stepwell_base::suggest;

/// A value with its position in the file.
#[derive(Clone, Debug)]
pub struct Located<T> {
    pub value: T,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub span: Span,
    pub data: Data,
}

#[derive(Clone, Debug)]
pub enum Data {
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Table(Table),
}

/// The entries of a table, in file order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub entries: Vec<(Located<String>, Node)>,
}

/// Reads a document; `None` for broken syntax, which is then in `problems`.
pub fn read(problems: &mut Problems) -> Option<Table> {
    let text = problems.text().to_owned();
    let (root, errors) = DeTable::parse_recoverable(&text);
    let mut reported = None;
    for error in &errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = problems.line(span.start);
        // Further errors on the same line are mostly echoes of the first.
        if reported != Some(line) {
            problems.at(&span, format!("invalid TOML: {}", error.message()));
        }
        reported = Some(line);
    }
    if !errors.is_empty() {
        return None;
    }
    Some(table(root.get_ref(), 1, problems))
}

/// The right-hand side of `-S name=value`.
pub enum Assigned {
    Value(Value),
    /// Not TOML, perhaps text without quotes.
    Other,
    TooDeep,
}

pub fn read_value(text: &str) -> Assigned {
    if too_deep_at(text.as_bytes(), DEPTH, b"\"'").is_some() {
        return Assigned::TooDeep;
    }
    let Ok(value) = DeValue::parse(text) else { return Assigned::Other };
    let mut problems = Problems::new("", text);
    match node(value.get_ref(), value.span(), 0, &mut problems) {
        Some(node) if problems.is_empty() => Assigned::Value(node.to_json()),
        _ => Assigned::Other,
    }
}

/// `depth` is the depth of the table itself.
fn table(entries: &DeTable<'_>, depth: usize, problems: &mut Problems) -> Table {
    let mut located: Vec<_> = entries
        .iter()
        .filter_map(|(key, value)| {
            let node = node(value.get_ref(), value.span(), depth, problems)?;
            Some((Located { value: key.get_ref().to_string(), span: key.span() }, node))
        })
        .collect();
    located.sort_by_key(|(key, _)| key.span.start);
    Table { entries: located }
}

/// `depth` is the depth of the enclosing value.
fn node(value: &DeValue<'_>, span: Span, depth: usize, problems: &mut Problems) -> Option<Node> {
    let data = match value {
        DeValue::Array(_) | DeValue::Table(_) if depth >= DEPTH => {
            problems.at(&span, format!("lists and tables are nested deeper than {DEPTH} levels"));
            return None;
        }
        DeValue::Boolean(value) => Data::Bool(*value),
        DeValue::String(value) => Data::Text(value.to_string()),
        DeValue::Integer(value) => match integer(value) {
            Some(number) => Data::Number(number),
            None => {
                problems.at(&span, format!("the integer `{value}` does not fit in 64 bits"));
                return None;
            }
        },
        DeValue::Float(value) => match value.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Data::Number(number),
            None => {
                problems.at(&span, format!("`{value}` is not a finite number"));
                return None;
            }
        },
        DeValue::Datetime(value) => {
            problems.at(&span, "dates are not supported").hint(format!("write it as text: \"{value}\""));
            return None;
        }
        DeValue::Array(items) => {
            Data::List(items.iter().filter_map(|item| node(item.get_ref(), item.span(), depth + 1, problems)).collect())
        }
        DeValue::Table(entries) => Data::Table(table(entries, depth + 1, problems)),
    };
    Some(Node { span, data })
}

fn integer(value: &DeInteger<'_>) -> Option<Number> {
    let signed = i64::from_str_radix(value.as_str(), value.radix()).map(Number::from);
    signed.or_else(|_| u64::from_str_radix(value.as_str(), value.radix()).map(Number::from)).ok()
}

impl Node {
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::Text(value) => Value::String(value.clone()),
            Data::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Data::Table(table) => Value::Object(table.to_json()),
        }
    }

    /// Describes the value for messages: `a number`, `a list`.
    pub fn describe(&self) -> &'static str {
        describe(&self.to_json())
    }

    /// Returns the text, or adds a problem that says what `name` must be.
    pub fn text(&self, name: &str, problems: &mut Problems) -> Option<Located<String>> {
        if let Data::Text(text) = &self.data {
            return Some(Located { value: text.clone(), span: self.span.clone() });
        }
        problems.at(&self.span, format!("`{name}` must be text, not {}", self.describe())).hint("put it in quotes");
        None
    }

    /// Returns the table, or adds a problem whose hint is `example`, a correct line.
    pub fn table(&self, name: &str, example: &str, problems: &mut Problems) -> Option<&Table> {
        if let Data::Table(table) = &self.data {
            return Some(table);
        }
        problems
            .at(&self.span, format!("`{name}` must be a table, not {}", self.describe()))
            .hint(format!("write it like this: {example}"));
        None
    }

    /// Returns the list, or adds a problem whose hint is `example`, a correct line.
    pub fn list(&self, name: &str, example: &str, problems: &mut Problems) -> Option<&[Node]> {
        if let Data::List(items) = &self.data {
            return Some(items);
        }
        problems
            .at(&self.span, format!("`{name}` must be a list, not {}", self.describe()))
            .hint(format!("write it like this: {example}"));
        None
    }
}

pub fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    pub fn to_json(&self) -> Map<String, Value> {
        self.entries.iter().map(|(key, node)| (key.value.clone(), node.to_json())).collect()
    }

    /// Adds one problem per key that is not in `known`. `place` says where, such as ` in [params]`.
    pub fn only(&self, known: &[&str], place: &str, problems: &mut Problems) {
        for (key, _) in &self.entries {
            if !known.contains(&key.value.as_str()) {
                problems
                    .at(&key.span, format!("unknown key `{}`{place}", key.value))
                    .label("not a key of this table")
                    .hint(suggest::hint(&key.value, "keys", known.iter().copied()));
            }
        }
    }
}
