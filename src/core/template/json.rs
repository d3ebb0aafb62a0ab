//! Values of the template engine as JSON.

use minijinja::Value as Dynamic;
use minijinja::value::ValueKind;
use serde_json::{Map, Number, Value};

/// Why a value is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotJson {
    Undefined,
    Other(String),
}

pub(super) fn from_dynamic(value: &Dynamic) -> Result<Value, NotJson> {
    let other = |message: &str| NotJson::Other(message.to_owned());
    match value.kind() {
        ValueKind::Undefined => Err(NotJson::Undefined),
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(value.is_true())),
        ValueKind::Number => number(value).map(Value::Number),
        ValueKind::String => {
            let text = value.as_str().ok_or_else(|| other("the text is not UTF-8"))?;
            Ok(Value::String(text.to_owned()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| NotJson::Other(error.to_string()))?;
            items.map(|item| from_dynamic(&item)).collect::<Result<_, _>>().map(Value::Array)
        }
        ValueKind::Map => {
            let mut object = Map::new();
            for key in value.try_iter().map_err(|error| NotJson::Other(error.to_string()))? {
                let name = key.as_str().ok_or_else(|| NotJson::Other(format!("the key `{key}` is not text")))?;
                let entry = value.get_item(&key).map_err(|error| NotJson::Other(error.to_string()))?;
                object.insert(name.to_owned(), from_dynamic(&entry)?);
            }
            Ok(Value::Object(object))
        }
        kind => Err(NotJson::Other(format!("{kind} cannot be passed to a step"))),
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
