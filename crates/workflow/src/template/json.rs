//! Converts values of the template engine to JSON.

use minijinja::Value as Dynamic;
use minijinja::value::ValueKind;
use serde_json::{Map, Number, Value};

/// Maximum bytes of text in the values of one expression: five times the artifacts of the largest fan-out.
pub(super) const MAXIMUM_TEXT: usize = 64 << 20;
/// Maximum number of values from one expression, including those in lists and tables.
pub(super) const MAXIMUM_VALUES: usize = 1_000_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotJson {
    Undefined,
    TooMuchText,
    TooManyValues,
    Other(String),
}

/// Converts the value to JSON. Limits apply during the conversion, because a lazy expression such as `[0] *
/// 100000000` must fail before it fills the memory.
pub(super) fn from_dynamic(value: &Dynamic) -> Result<Value, NotJson> {
    Budget { text: MAXIMUM_TEXT, values: MAXIMUM_VALUES }.convert(value)
}

/// Remaining allowance for text and values.
struct Budget {
    text: usize,
    values: usize,
}

impl Budget {
    fn convert(&mut self, value: &Dynamic) -> Result<Value, NotJson> {
        let other = |message: &str| NotJson::Other(message.to_owned());
        self.values = self.values.checked_sub(1).ok_or(NotJson::TooManyValues)?;
        match value.kind() {
            ValueKind::Undefined => Err(NotJson::Undefined),
            ValueKind::None => Ok(Value::Null),
            ValueKind::Bool => Ok(Value::Bool(value.is_true())),
            ValueKind::Number => number(value).map(Value::Number),
            ValueKind::String => {
                let text = value.as_str().ok_or_else(|| other("the text is not UTF-8"))?;
                self.text(text).map(Value::String)
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter().map_err(|error| NotJson::Other(error.to_string()))?;
                items.map(|item| self.convert(&item)).collect::<Result<_, _>>().map(Value::Array)
            }
            ValueKind::Map => {
                let mut object = Map::new();
                for key in value.try_iter().map_err(|error| NotJson::Other(error.to_string()))? {
                    let name = key.as_str().ok_or_else(|| NotJson::Other(format!("the key `{key}` is not text")))?;
                    let entry = value.get_item(&key).map_err(|error| NotJson::Other(error.to_string()))?;
                    object.insert(self.text(name)?, self.convert(&entry)?);
                }
                Ok(Value::Object(object))
            }
            kind => Err(NotJson::Other(format!("{kind} cannot be passed to a step"))),
        }
    }

    fn text(&mut self, text: &str) -> Result<String, NotJson> {
        self.text = self.text.checked_sub(text.len()).ok_or(NotJson::TooMuchText)?;
        Ok(text.to_owned())
    }
}

fn number(value: &Dynamic) -> Result<Number, NotJson> {
    if value.is_integer() {
        let signed = i64::try_from(value.clone()).map(Number::from);
        return signed
            .or_else(|_| u64::try_from(value.clone()).map(Number::from))
            .map_err(|_| NotJson::Other(format!("the integer {value} does not fit in 64 bits")));
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(Number::from_f64)
        .ok_or_else(|| NotJson::Other(format!("{value} is not a finite number")))
}
