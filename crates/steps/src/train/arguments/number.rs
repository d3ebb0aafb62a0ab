//! Numbers of a workflow file.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// JSON has no NaN: TOML's `nan` arrives as null. Reading it as NaN lets the checks refuse the value that the user
/// wrote.
pub fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(f64::NAN),
        Value::String(text) if text.eq_ignore_ascii_case("nan") => Ok(f64::NAN),
        number => f64::deserialize(number).map_err(serde::de::Error::custom),
    }
}
