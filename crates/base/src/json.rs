//! Bounds the depth and the size of JSON from outside. `specs/durability.md` lists every reader.
//! Input within its limit can be stored, and stored input can be read again.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maximum nesting of lists and tables in input from a person or a program.
pub const DEPTH: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    pub depth: usize,
    pub bytes: u64,
}

impl Limit {
    /// The payload of a signal, on a command line.
    pub const PAYLOAD: Limit = Limit { depth: DEPTH, bytes: 1 << 20 };
    /// The values of a command; larger data belongs in an output.
    pub const VALUES: Limit = Limit { depth: DEPTH, bytes: 64 << 20 };
    /// The marker of a command's checkpoint.
    pub const MARKER: Limit = Limit { depth: DEPTH, bytes: 64 << 10 };
    /// A request of another process, including its payload.
    pub const REQUEST: Limit = Limit { depth: DEPTH + 4, bytes: 2 << 20 };
    /// A file that a person names.
    pub const FILE: Limit = Limit { depth: DEPTH, bytes: 256 << 20 };
    /// Arguments and outputs of a step: templates nest values in values.
    pub const STEP: Limit = Limit { depth: DEPTH + 32, bytes: 256 << 20 };
    /// A row of the database or a message of an attempt, including arguments or outputs. `serde_json` reads no deeper,
    /// and SQLite rejects values of 1 GB.
    pub const STORED: Limit = Limit { depth: 127, bytes: 768 << 20 };
}

/// The reason why JSON text was rejected. Messages are printed after a colon.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    #[error("line {line}, column {column}: lists and tables are nested deeper than {limit} levels")]
    TooDeep { line: usize, column: usize, limit: usize },
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
}

/// A value that is too deep or too large for the arguments or outputs of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooMuch {
    #[error("lists and tables are nested deeper than {0} levels")]
    Levels(usize),
    #[error("they have more than {0} bytes as JSON")]
    Bytes(u64),
}

/// Reads a text within `limit`.
///
/// # Errors
/// `TooLarge`, `TooDeep`, or `Syntax` when it is not the JSON of a `T`.
pub fn parse<T: DeserializeOwned>(text: &[u8], limit: Limit) -> Result<T, JsonError> {
    check(text, limit)?;
    Ok(serde_json::from_slice(text)?)
}

/// Checks that a text is within `limit`; ignores its syntax.
///
/// # Errors
/// `TooLarge`, `TooDeep`.
pub fn check(text: &[u8], limit: Limit) -> Result<(), JsonError> {
    if text.len() as u64 > limit.bytes {
        return Err(JsonError::TooLarge(limit.bytes));
    }
    let Some(at) = too_deep_at(text, limit.depth, b"\"") else { return Ok(()) };
    let before = &text[..at];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
    Err(JsonError::TooDeep { line, column, limit: limit.depth })
}

/// Returns the offset of the bracket that exceeds `depth`, outside text in one of `quotes`.
pub fn too_deep_at(text: &[u8], depth: usize, quotes: &[u8]) -> Option<usize> {
    let (mut level, mut quoted, mut escaped) = (0_usize, None, false);
    for (at, byte) in text.iter().enumerate() {
        match (quoted, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(b'"'), b'\\') => escaped = true,
            (Some(quote), byte) if quote == *byte => quoted = None,
            (Some(_), _) => {}
            (None, byte) if quotes.contains(byte) => quoted = Some(*byte),
            (None, b'[' | b'{') => {
                level += 1;
                if level > depth {
                    return Some(at);
                }
            }
            (None, b']' | b'}') => level = level.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

/// Checks that arguments or outputs of a step are within [`Limit::STEP`].
///
/// # Errors
/// `Levels`, `Bytes`.
pub fn check_values<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<(), TooMuch> {
    let limit = Limit::STEP;
    let mut bytes = 0;
    // The table that holds the values counts as a level.
    values.into_iter().try_for_each(|value| measure(value, limit.depth - 1, &mut bytes))?;
    if bytes > limit.bytes { Err(TooMuch::Bytes(limit.bytes)) } else { Ok(()) }
}

/// Adds the minimum JSON size of a value to `bytes`.
fn measure(value: &Value, levels: usize, bytes: &mut u64) -> Result<(), TooMuch> {
    let inside = || levels.checked_sub(1).ok_or(TooMuch::Levels(Limit::STEP.depth));
    *bytes += match value {
        Value::String(text) => text.len() as u64 + 3,
        _ => 2,
    };
    match value {
        Value::Array(items) => {
            let levels = inside()?;
            items.iter().try_for_each(|item| measure(item, levels, bytes))
        }
        Value::Object(fields) => {
            let levels = inside()?;
            fields.iter().try_for_each(|(name, field)| {
                *bytes += name.len() as u64 + 3;
                measure(field, levels, bytes)
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_text_is_read_up_to_its_depth_and_the_place_is_named() {
        let limit = Limit { depth: 3, bytes: 100 };
        parse::<Value>(nested(3).as_bytes(), limit).unwrap();
        let error = parse::<Value>(b"[\n {\"a\":\n  [[]]}]", limit).unwrap_err();
        assert_eq!(error.to_string(), "line 3, column 4: lists and tables are nested deeper than 3 levels");
        // Brackets in text and closed lists do not count as levels.
        parse::<Value>(br#"["[[[[\"[[[[", [[]], [[]], {"[[[[\\": [1]}]"#, limit).unwrap();
        assert!(matches!(parse::<Value>(b"[[[", limit), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn a_text_is_read_up_to_its_size() {
        let limit = Limit { depth: 1, bytes: 4 };
        assert_eq!(parse::<u64>(b"1234", limit).unwrap(), 1234);
        let error = parse::<u64>(b"12345", limit).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 4 bytes");
    }

    /// Accepted input can be read again: a value in outputs of an event, and arguments in a message.
    #[test]
    fn what_is_within_its_limit_is_stored_within_that_of_rows() {
        let value: Value = parse(nested(DEPTH).as_bytes(), Limit::VALUES).unwrap();
        let mut deepest = value;
        while check_values([&json!([deepest])]).is_ok() {
            deepest = json!([deepest]);
        }
        let stored = json!({"type": "done", "outputs": {"values": {"x": {"y": {"z": deepest}}}}}).to_string();
        parse::<Value>(stored.as_bytes(), Limit::STORED).unwrap();
        parse::<Value>(nested(Limit::STORED.depth).as_bytes(), Limit::STORED).unwrap();
        let request =
            json!({"kind": "signal", "payload": parse::<Value>(nested(DEPTH).as_bytes(), Limit::PAYLOAD).unwrap()});
        parse::<Value>(request.to_string().as_bytes(), Limit::REQUEST).unwrap();
    }

    #[test]
    fn values_that_are_too_much_are_told() {
        let deep = parse::<Value>(nested(Limit::STEP.depth).as_bytes(), Limit::STORED).unwrap();
        assert_eq!(check_values([&deep]), Err(TooMuch::Levels(96)));
        check_values(deep.as_array().unwrap()).unwrap();
        let large = Value::from("x".repeat(1 << 20));
        assert_eq!(check_values(std::iter::repeat_n(&large, 256)), Err(TooMuch::Bytes(256 << 20)));
    }
}
