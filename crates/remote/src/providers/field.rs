//! Fields of JSON answers, with an error that names them.

use jiff::Timestamp;
use serde_json::Value;

use crate::money::Price;
use crate::provider::InstanceId;
use crate::provider_error::ProviderError;

/// Instances of one account that are read.
pub(super) const MOST: usize = 10_000;
/// Longest name, as it is shown and compared.
const LONGEST: usize = 1024;

pub(super) fn malformed(call: &'static str, why: impl Into<String>) -> ProviderError {
    ProviderError::Malformed { call, why: why.into() }
}

pub(super) fn list<'v>(call: &'static str, value: &'v Value, at: &str) -> Result<&'v Vec<Value>, ProviderError> {
    let items =
        value.pointer(at).and_then(Value::as_array).ok_or_else(|| malformed(call, format!("`{at}` is no list")))?;
    if items.len() > MOST {
        return Err(malformed(call, format!("`{at}` has more than {MOST} items")));
    }
    Ok(items)
}

/// An id, which some providers write as a number.
pub(super) fn id(call: &'static str, value: &Value, at: &str) -> Result<InstanceId, ProviderError> {
    let found = match value.pointer(at) {
        Some(Value::String(text)) => InstanceId::parse(text),
        Some(Value::Number(number)) => InstanceId::parse(&number.to_string()),
        _ => None,
    };
    found.ok_or_else(|| malformed(call, format!("`{at}` is no id of an instance")))
}

pub(super) fn text(value: &Value, at: &str) -> Option<String> {
    let text = value.pointer(at)?.as_str()?;
    (text.len() <= LONGEST).then(|| text.to_owned())
}

pub(super) fn port(value: &Value, at: &str) -> Option<u16> {
    u16::try_from(value.pointer(at)?.as_u64()?).ok()
}

/// Dollars per hour, which some providers write as text.
pub(super) fn dollars(value: &Value, at: &str) -> Option<Price> {
    let dollars = match value.pointer(at)? {
        Value::String(text) => text.parse().ok()?,
        number => number.as_f64()?,
    };
    Price::from_dollars(dollars)
}

/// Seconds since 1970, with a fraction.
pub(super) fn seconds(value: &Value, at: &str) -> Option<Timestamp> {
    let seconds = value.pointer(at)?.as_f64()?;
    let is_sane = (0.0..=4e9).contains(&seconds);
    is_sane.then(|| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()).flatten()
}

pub(super) fn time(value: &Value, at: &str) -> Option<Timestamp> {
    text(value, at)?.parse().ok()
}
