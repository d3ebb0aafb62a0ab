//! Takes typed, bounded fields out of a JSON object. Every field is taken or named as unknown.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::{Code, RowError};

type Result<T> = std::result::Result<T, RowError>;

/// Most bytes of a value that a message quotes.
const QUOTED: usize = 60;

pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn new(body: Map<String, Value>) -> Fields {
        Fields(body)
    }

    /// Takes a field; `null` counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, name: &str, most_bytes: usize) -> Result<Option<String>> {
        self.take(name).map(|value| text(name, value, most_bytes)).transpose()
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        self.take(name)
            .map(|value| value.as_bool().ok_or_else(|| wrong_type(name, "true or false", &value)))
            .transpose()
    }

    pub(crate) fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        self.take(name).map(|value| integer(name, &value, &range)).transpose()
    }

    pub(crate) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f32>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        number(name, &value, &range).map(Some)
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => Err(wrong_type(name, "an object", &other)),
        }
    }

    pub(crate) fn list(&mut self, name: &str, most: usize) -> Result<Option<Vec<Value>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) if items.len() > most => {
                let message = format!("`{name}` has {} items, at most {most} are allowed", items.len());
                Err(RowError::about(name, Code::InvalidValue, message))
            }
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(wrong_type(name, "a list", &other)),
        }
    }

    /// Refuses `name` unless it has one of the values that change nothing.
    pub(crate) fn only(&mut self, name: &str, harmless: &[Value]) -> Result<()> {
        match self.take(name) {
            Some(value) if !harmless.contains(&value) => {
                let message = format!("`{name}` = {} is not supported", quoted(&value));
                Err(RowError::about(name, Code::UnsupportedParameter, message))
            }
            _ => Ok(()),
        }
    }

    /// Names the first field that nothing has taken.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => {
                let name = bounded(&name);
                let message = format!("unknown parameter `{name}`");
                Err(RowError::about(name, Code::UnknownParameter, message))
            }
        }
    }
}

pub(crate) fn text(name: &str, value: Value, most_bytes: usize) -> Result<String> {
    match value {
        Value::String(text) if text.len() > most_bytes => {
            let message = format!("`{name}` has {} bytes, at most {most_bytes} are allowed", text.len());
            Err(RowError::about(name, Code::InvalidValue, message))
        }
        Value::String(text) => Ok(text),
        other => Err(wrong_type(name, "a string", &other)),
    }
}

pub(crate) fn integer(name: &str, value: &Value, range: &RangeInclusive<i64>) -> Result<i64> {
    let out_of_range = || {
        let message = format!("`{name}` is {}, it must be from {} to {}", quoted(value), range.start(), range.end());
        RowError::about(name, Code::InvalidValue, message)
    };
    let whole = |number: &f64| number.fract() == 0.0 && number.abs() < 9e15;
    let integer = match (value.as_i64(), value.as_f64()) {
        (Some(integer), _) => integer,
        (None, Some(number)) if whole(&number) => number as i64,
        (None, Some(_)) if value.is_u64() => return Err(out_of_range()),
        _ => return Err(wrong_type(name, "an integer", value)),
    };
    if range.contains(&integer) { Ok(integer) } else { Err(out_of_range()) }
}

pub(crate) fn number(name: &str, value: &Value, range: &RangeInclusive<f64>) -> Result<f32> {
    let Some(number) = value.as_f64() else { return Err(wrong_type(name, "a number", value)) };
    if range.contains(&number) {
        return Ok(number as f32);
    }
    let message = format!("`{name}` is {}, it must be from {} to {}", quoted(value), range.start(), range.end());
    Err(RowError::about(name, Code::InvalidValue, message))
}

pub(crate) fn wrong_type(name: &str, expected: &str, found: &Value) -> RowError {
    let message = format!("`{name}` must be {expected}, it is {}", quoted(found));
    RowError::about(name, Code::InvalidType, message)
}

pub(crate) fn missing(name: &str) -> RowError {
    RowError::about(name, Code::MissingRequiredParameter, format!("`{name}` is missing"))
}

/// A value as a message shows it.
pub(crate) fn quoted(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => bounded(&other.to_string()),
    }
}

pub(crate) fn bounded(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
