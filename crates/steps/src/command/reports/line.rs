//! One line of `$STEPWELL_METRICS`: a JSON object with a `step` and any number of named numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use stepwell_base::json::{self, Limit};
use stepwell_base::names::{InvalidName, check_series_name};
use stepwell_base::protocol::Measurement;

/// Maximum bytes of a line.
pub(super) const LONGEST_LINE: usize = 16 << 10;
/// Every integer up to here is a float too, so the other readers of JSON agree on it.
const LAST_STEP: f64 = 9_007_199_254_740_992.0;
const STEP: &str = "step";
/// The name of the step in tables and CSV.
const TRAIN_STEP: &str = "train_step";

/// The reason why a line is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the line has more than {LONGEST_LINE} bytes")]
    TooLong,
    #[error("the line is no JSON object: {0}")]
    Syntax(String),
    #[error("the line has no `{STEP}`")]
    NoStep,
    #[error("`{STEP}` is no whole number from 0 to 2^53")]
    Step,
    #[error("`{name}` is {what}, not a number")]
    NotANumber { name: String, what: &'static str },
    #[error("the name `{}`: {why}", .name.escape_default())]
    Name { name: String, why: InvalidName },
    #[error("`{TRAIN_STEP}` cannot be the name of a series: the step is called `{STEP}`")]
    Reserved,
}

/// Reads a line without its end. As Python writes them, `NaN` and `Infinity` are accepted; they count as NaN, like null.
pub(super) fn parse(line: &[u8]) -> Result<Measurement, Refused> {
    if line.len() > LONGEST_LINE {
        return Err(Refused::TooLong);
    }
    let text = str::from_utf8(line).map_err(|error| Refused::Syntax(error.to_string()))?;
    let limit = Limit { depth: 2, bytes: 4 * LONGEST_LINE as u64 };
    let fields: Map<String, Value> =
        json::parse(with_null(text).as_bytes(), limit).map_err(|error| Refused::Syntax(error.to_string()))?;
    let mut train_step = None;
    let mut values = BTreeMap::new();
    for (name, value) in fields {
        if name == STEP {
            train_step = Some(step(&value).ok_or(Refused::Step)?);
            continue;
        }
        if name == TRAIN_STEP {
            return Err(Refused::Reserved);
        }
        let number = match value {
            Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
            Value::Null => f64::NAN,
            Value::Bool(_) => return Err(Refused::NotANumber { name, what: "true or false" }),
            Value::String(_) => return Err(Refused::NotANumber { name, what: "text" }),
            Value::Array(_) => return Err(Refused::NotANumber { name, what: "a list" }),
            Value::Object(_) => return Err(Refused::NotANumber { name, what: "an object" }),
        };
        if let Err(why) = check_series_name(&name) {
            return Err(Refused::Name { name, why });
        }
        values.insert(name, number);
    }
    Ok(Measurement { train_step: train_step.ok_or(Refused::NoStep)?, values })
}

fn step(value: &Value) -> Option<u64> {
    let step = value.as_f64().filter(|step| step.fract() == 0.0 && (0.0..=LAST_STEP).contains(step))?;
    Some(step as u64)
}

/// Replaces `NaN`, `Infinity` and `-Infinity` outside of texts, which are no JSON.
fn with_null(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    let (mut rest, mut quoted, mut escaped) = (text, false, false);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            replaced.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        replaced.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<(String, f64)> {
        parse(line.as_bytes()).unwrap().values.into_iter().collect()
    }

    #[test]
    fn a_line_is_a_step_and_named_numbers() {
        let row = parse(br#" {"step": 10, "loss": 2.25, "val/top 1": 3} "#).unwrap();
        assert_eq!(row.train_step, 10);
        assert_eq!(values(r#"{"step": 1e1, "b": -0.5, "a": 18446744073709551615}"#).len(), 2);
        assert_eq!(parse(br#"{"step": 0}"#).unwrap().values.len(), 0);
    }

    #[test]
    fn what_python_writes_for_nan_is_a_gap() {
        let line = r#"{"step": 1, "NaN \" NaN": NaN, "a": Infinity, "b": -Infinity, "c": null, "d": 1}"#;
        let values = values(line);
        assert_eq!(values.iter().filter(|(_, value)| value.is_nan()).count(), 4, "{values:?}");
        assert!(values.iter().any(|(name, _)| name == "NaN \" NaN"), "{values:?}");
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        let long = format!(r#"{{"step": 1, "a": {}}}"#, "1".repeat(LONGEST_LINE));
        let name = format!(r#"{{"step": 1, "{}": 1}}"#, "n".repeat(65));
        for (line, reason) in [
            ("", "no JSON object"),
            ("[1, 2]", "no JSON object"),
            ("{\"step\": 1", "no JSON object"),
            ("{\"step\": 1} {\"step\": 2}", "no JSON object"),
            ("{\"loss\": 1}", "no `step`"),
            ("{\"step\": -1}", "no whole number"),
            ("{\"step\": 1.5}", "no whole number"),
            ("{\"step\": \"1\"}", "no whole number"),
            ("{\"step\": 1e300}", "no whole number"),
            ("{\"step\": 1, \"a\": \"x\"}", "`a` is text"),
            ("{\"step\": 1, \"a\": true}", "`a` is true or false"),
            ("{\"step\": 1, \"a\": [[[1]]]}", "no JSON object"),
            ("{\"step\": 1, \"a\": [1]}", "`a` is a list"),
            ("{\"step\": 1, \"a\": {}}", "`a` is an object"),
            ("{\"step\": 1, \"\": 1}", "at least one character"),
            ("{\"step\": 1, \"a\\u001b[2J\": 1}", "cannot hold"),
            ("{\"step\": 1, \"train_step\": 1}", "called `step`"),
            (&long, "more than 16384 bytes"),
            (&name, "at most 64 bytes"),
        ] {
            let refused = parse(line.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(reason), "{line}: {refused}");
        }
        assert!(parse(b"{\"step\": 1, \"\xff\": 1}").unwrap_err().to_string().contains("utf-8"));
    }
}
