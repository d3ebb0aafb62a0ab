//! `tojson` as Python's `json.dumps` prints it: `", "` and `": "` between items, no escapes for HTML.

use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::budget::charge;

/// Characters of all indentation of a level.
const MOST_INDENT: usize = 32;
/// Bytes of a result.
const MOST_BYTES: usize = 16 << 20;
const MOST_DEPTH: usize = 128;

/// # Errors
/// For a value that JSON does not have, and for a result above the limits.
pub fn tojson(value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let style = Style {
        indent: indent(&arguments)?,
        ascii: arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        separators: separators(&arguments)?,
    };
    arguments.assert_all_used()?;
    let mut text = String::new();
    style.write(value, 0, &mut text)?;
    charge(text.len() as u64)?;
    Ok(Value::from_safe_string(text))
}

struct Style {
    indent: Option<String>,
    ascii: bool,
    sorted: bool,
    /// Between items and after a key.
    separators: (String, String),
}

fn indent(arguments: &Kwargs) -> Result<Option<String>, Error> {
    let Some(value) = arguments.get::<Option<Value>>("indent")? else { return Ok(None) };
    let too_much = || invalid(format!("tojson: an indent has at most {MOST_INDENT} characters"));
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(None),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if text.chars().count() > MOST_INDENT { Err(too_much()) } else { Ok(Some(text.to_owned())) }
        }
        _ => {
            let count = usize::try_from(i64::try_from(value)?.max(0)).map_err(|_| too_much())?;
            if count > MOST_INDENT { Err(too_much()) } else { Ok(Some(" ".repeat(count))) }
        }
    }
}

fn separators(arguments: &Kwargs) -> Result<(String, String), Error> {
    // Python drops the space at the end of a line.
    let between = if indent(arguments)?.is_some() { "," } else { ", " };
    let default = || (between.to_owned(), ": ".to_owned());
    let Some(value) = arguments.get::<Option<Value>>("separators")? else { return Ok(default()) };
    if value.is_none() || value.is_undefined() {
        return Ok(default());
    }
    let parts: Vec<Value> = value.try_iter()?.collect();
    match parts.as_slice() {
        [between, colon] => Ok((between.to_string(), colon.to_string())),
        _ => Err(invalid("tojson: `separators` are two texts".into())),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

impl Style {
    fn write(&self, value: &Value, depth: usize, to: &mut String) -> Result<(), Error> {
        if depth > MOST_DEPTH || to.len() > MOST_BYTES {
            return Err(invalid("tojson: the value is too large".into()));
        }
        match value.kind() {
            ValueKind::None => to.push_str("null"),
            ValueKind::Bool => to.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => to.push_str(&number(value)),
            ValueKind::String => self.write_text(value.as_str().unwrap_or_default(), to),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                let item = |key: &Value, to: &mut String| {
                    match key.as_str() {
                        Some(text) => self.write_text(text, to),
                        None => {
                            to.push('"');
                            self.write(key, depth + 1, to)?;
                            to.push('"');
                        }
                    }
                    to.push_str(&self.separators.1);
                    self.write(&value.get_item(key)?, depth + 1, to)
                };
                self.write_items(('{', '}'), &keys, depth, to, item)?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_items(('[', ']'), &items, depth, to, |item, to| self.write(item, depth + 1, to))?;
            }
            ValueKind::Undefined => return Err(invalid("tojson: an undefined value is not JSON".into())),
            other => return Err(invalid(format!("tojson: a value of type {other} is not JSON"))),
        }
        Ok(())
    }

    fn write_items(
        &self,
        (open, close): (char, char),
        items: &[Value],
        depth: usize,
        to: &mut String,
        write: impl Fn(&Value, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        to.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                to.push_str(&self.separators.0);
            }
            self.new_line(depth + 1, to);
            write(item, to)?;
        }
        if !items.is_empty() {
            self.new_line(depth, to);
        }
        to.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, to: &mut String) {
        if let Some(indent) = &self.indent {
            to.push('\n');
            (0..depth).for_each(|_| to.push_str(indent));
        }
    }

    fn write_text(&self, text: &str, to: &mut String) {
        to.push('"');
        for character in text.chars() {
            match character {
                '"' => to.push_str("\\\""),
                '\\' => to.push_str("\\\\"),
                '\n' => to.push_str("\\n"),
                '\r' => to.push_str("\\r"),
                '\t' => to.push_str("\\t"),
                '\u{8}' => to.push_str("\\b"),
                '\u{c}' => to.push_str("\\f"),
                control if control < ' ' => escape(control as u16, to),
                // Breaks of special tokens are removed later, so they are no characters of the text.
                other if self.ascii && (!other.is_ascii() || other == '\u{7f}') && !Self::is_break(other) => {
                    let mut units = [0; 2];
                    other.encode_utf16(&mut units).iter().for_each(|unit| escape(*unit, to));
                }
                other => to.push(other),
            }
        }
        to.push('"');
    }

    fn is_break(character: char) -> bool {
        character == crate::tokenizer::BREAK
    }
}

fn escape(unit: u16, to: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(to, "\\u{unit:04x}");
}

/// A number as Python prints it: the shortest digits that are read back as the same number, with an exponent below
/// 1e-4 and from 1e16 on.
pub fn number(value: &Value) -> String {
    let Some(float) = float(value) else { return value.to_string() };
    let magnitude = float.abs();
    if float.is_nan() {
        return "NaN".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{float:?}");
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// The value if it is a floating-point number; a whole number has no fraction to print.
fn float(value: &Value) -> Option<f64> {
    (value.kind() == ValueKind::Number && !value.is_integer()).then(|| f64::try_from(value.clone()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_in_python() {
        for (float, expected) in [
            (1e20, "1e+20"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (123_456_789.25, "123456789.25"),
            (0.0001, "0.0001"),
            (-2.0, "-2.0"),
            (0.0, "0.0"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
        ] {
            assert_eq!(number(&Value::from(float)), expected);
        }
        assert_eq!(number(&Value::from(7)), "7");
        assert_eq!(number(&Value::from(u64::MAX)), "18446744073709551615");
    }
}
