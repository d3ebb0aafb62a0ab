//! JSON objects without duplicate keys, and their fields with types and ranges.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use stepwell_base::json::{DEPTH, JsonError, Limit, check};

use crate::error::{Problem, shown};

/// Reads an object of at most `bytes` bytes.
///
/// # Errors
/// `Json` for broken or too large text and for a key that an object has twice.
pub fn object(text: &[u8], bytes: u64) -> Result<Map<String, Value>, Problem> {
    check(text, Limit { depth: DEPTH, bytes })?;
    match serde_json::from_slice::<Strict>(text).map_err(JsonError::from)?.0 {
        Value::Object(map) => Ok(map),
        _ => Err(Problem::Damaged("it is not a JSON object".into())),
    }
}

/// A value in which no object has a key twice: readers disagree about which of them counts.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::Array(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
                let mut map = Map::new();
                while let Some(name) = fields.next_key::<String>()? {
                    if map.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("the key `{}` occurs twice", shown(&name))));
                    }
                    let Strict(value) = fields.next_value()?;
                    map.insert(name, value);
                }
                Ok(Value::Object(map))
            }
        }
        deserializer.deserialize_any(Any).map(Strict)
    }
}

/// Fields of an object. A field that is null counts as absent, as in Python.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Name of the object within the file, for messages.
    within: &'a str,
}

impl<'a> Fields<'a> {
    pub fn of(map: &'a Map<String, Value>) -> Self {
        Fields { map, within: "" }
    }

    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub fn problem(&self, name: &str, why: impl Into<String>) -> Problem {
        let field = if self.within.is_empty() { name.to_owned() } else { format!("{}.{name}", self.within) };
        Problem::field(field, why)
    }

    fn wrong(&self, name: &str, expected: &str, found: &Value) -> Problem {
        self.problem(name, format!("must be {expected}, not {}", shown(&found.to_string())))
    }

    pub fn object(&self, name: &'a str) -> Result<Option<Fields<'a>>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map, within: name })),
            Some(other) => Err(self.wrong(name, "an object", other)),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, "text", other)),
        }
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(name, "true or false", other)),
        }
    }

    /// A whole number within `range`.
    pub fn count(&self, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let whole =
            value.as_u64().or_else(|| value.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as u64));
        match whole.and_then(|number| usize::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, &format!("a whole number from {} to {}", range.start(), range.end()), value)),
        }
    }

    pub fn required(&self, name: &str, range: RangeInclusive<usize>) -> Result<usize, Problem> {
        self.count(name, range)?.ok_or_else(|| self.problem(name, "is missing"))
    }

    /// A finite number of at least `least`.
    pub fn number(&self, name: &str, least: f64) -> Result<Option<f64>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64().filter(|number| number.is_finite() && *number >= least) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, &format!("a number of at least {least}"), value)),
        }
    }

    /// A list of `length` positive numbers.
    pub fn factors(&self, name: &str, length: usize) -> Result<Vec<f32>, Problem> {
        let expected = || format!("a list of {length} positive numbers");
        let value = self.get(name).ok_or_else(|| self.problem(name, "is missing"))?;
        let list = value.as_array().filter(|list| list.len() == length);
        let numbers = list.and_then(|list| list.iter().map(positive).collect::<Option<Vec<f32>>>());
        numbers.ok_or_else(|| self.wrong(name, &expected(), value))
    }
}

fn positive(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite() && *number > 0.0)
}
