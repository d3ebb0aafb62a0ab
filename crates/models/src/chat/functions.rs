//! Functions, methods and tests of templates, as in Python.

use std::cell::Cell;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::budget::{charge, copied, printed};
use super::values::OrderedMap;
use crate::tokenizer::LEARNED;

thread_local! {
    /// The time for the template that renders on this thread, in seconds since 1970.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

pub fn set_now(now: i64) {
    NOW.set(now);
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Filter around the text of `{% generation %}`.
pub fn learned(text: Value) -> Result<Value, Error> {
    let text = copied(text)?;
    Ok(Value::from(format!("{}{text}{}", LEARNED.0, LEARNED.1)))
}

pub fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(invalid(message))
}

pub fn strftime_now(format: &str) -> Result<String, Error> {
    let failed = |error: jiff::Error| invalid(format!("strftime_now: {error}"));
    let time = jiff::Timestamp::from_second(NOW.get()).map_err(failed)?.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(format, &time).map_err(failed)
}

/// A dictionary from a list of pairs.
pub fn dict(pairs: Value) -> Result<Value, Error> {
    let mut entries = Vec::new();
    for pair in pairs.try_iter()? {
        entries.push((pair.get_item_by_index(0)?, pair.get_item_by_index(1)?));
    }
    Ok(Value::from_object(OrderedMap::from_iter(entries)))
}

/// A list of what a loop iterates over.
pub fn items(value: Value) -> Result<Value, Error> {
    let value = copied(value)?;
    if value.is_undefined() {
        return Ok(value);
    }
    Ok(Value::from(value.try_iter()?.collect::<Vec<_>>()))
}

/// Methods of Python's texts, lists and dictionaries.
pub fn methods(state: &mut State<'_, '_>, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    charge_method(value, method, arguments)?;
    unknown_method_callback(state, value, method, arguments)
}

/// Charges for what a method makes. Most results are about as long as the value.
fn charge_method(value: &Value, method: &str, arguments: &[Value]) -> Result<(), Error> {
    copied(value.clone())?;
    let text = value.as_str().unwrap_or_default();
    let length = |index: usize| arguments.get(index).and_then(Value::as_str).map_or(0, str::len) as u64;
    match method {
        "replace" => charge((text.len() as u64 + 1).saturating_mul(length(1))),
        // Each piece is a value.
        "split" | "splitlines" | "rsplit" => charge(32 * text.len() as u64),
        "join" => {
            let items = arguments.first().and_then(Value::len).unwrap_or(0) as u64;
            charge(items.saturating_mul(text.len() as u64))?;
            arguments.first().map_or(Ok(()), |items| printed(items.clone()).map(drop))
        }
        "format" => Err(invalid("`format` is not known; use `~`")),
        _ => Ok(()),
    }
}

/// Tests that answer differently in Python: texts and dictionaries are sequences there, and nothing is not iterable.
pub fn python_tests(environment: &mut Environment<'_>) {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    environment.add_test("sequence", |value: &Value| matches!(value.kind(), Seq | String | Map | Undefined));
    environment.add_test("iterable", |value: &Value| matches!(value.kind(), Seq | String | Map | Iterable | Undefined));
}
