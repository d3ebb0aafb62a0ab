//! JSON as values of templates: objects keep the order of their keys, as in Python.

use std::collections::HashMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, Value};
use stepwell_base::ordered_json::Json;

use crate::tokenizer::Marks;

/// Converts JSON, and breaks the special tokens in its text.
pub fn value(json: &Json, marks: &Marks) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Int(number) => Value::from(*number),
        Json::Large(number) => Value::from(*number),
        Json::Float(number) => Value::from(*number),
        Json::Text(text) => Value::from(marks.break_tokens(text).into_owned()),
        Json::List(items) => Value::from(items.iter().map(|item| value(item, marks)).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| (Value::from(name.as_str()), value(field, marks)));
            Value::from_object(OrderedMap::from_iter(fields))
        }
    }
}

/// A dictionary in the order of insertion.
#[derive(Debug, Default)]
pub struct OrderedMap {
    entries: Vec<(Value, Value)>,
    places: HashMap<Value, usize>,
}

impl FromIterator<(Value, Value)> for OrderedMap {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        let mut map = OrderedMap::default();
        for (key, value) in entries {
            match map.places.get(&key) {
                Some(place) => map.entries[*place].1 = value,
                None => {
                    map.places.insert(key.clone(), map.entries.len());
                    map.entries.push((key, value));
                }
            }
        }
        map
    }
}

impl Object for OrderedMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.places.get(key).map(|place| self.entries[*place].1.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|map| Box::new(map.entries.iter().map(|(key, _)| key.clone())))
    }
}
