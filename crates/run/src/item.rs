//! The names by which people refer to the items of a fan-out.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// How well a text names an item; the better one is smaller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Match {
    /// The name of the item.
    Name,
    /// The file name of a path, or some of the fields of a table.
    Part,
}

/// The name of an item: a text stands for itself, a table is `key=value,key=value`, and the rest is JSON.
pub fn item_name(item: &Value) -> Cow<'_, str> {
    match item {
        Value::String(text) => Cow::Borrowed(text),
        Value::Object(fields) if is_flat(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", item_name(value))).collect();
            Cow::Owned(fields.join(","))
        }
        other => Cow::Owned(other.to_string()),
    }
}

/// Compares an item with the text that a person gave for it; `None` if the text means another item.
pub fn match_item(item: &Value, text: &str) -> Option<Match> {
    // A number alone would be a position.
    if item_name(item) == text
        || text.strip_prefix("item=").is_some_and(|text| !item.is_object() && item_name(item) == text)
    {
        return Some(Match::Name);
    }
    let is_part = match item {
        Value::String(path) => path.rsplit('/').next() == Some(text),
        Value::Object(fields) if is_flat(fields) => text.split(',').all(|pair| has_field(fields, pair)),
        _ => false,
    };
    is_part.then_some(Match::Part)
}

/// True for a table whose name is readable: it has fields, and no lists or tables among them.
fn is_flat(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && !fields.values().any(|value| value.is_object() || value.is_array())
}

fn has_field(fields: &Map<String, Value>, pair: &str) -> bool {
    let Some((name, text)) = pair.split_once('=') else { return false };
    fields.get(name.trim()).is_some_and(|value| item_name(value) == text.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_has_the_name_that_a_person_gives() {
        for (item, name) in [
            (json!("data/2.txt"), "data/2.txt"),
            (json!(0.003), "0.003"),
            (json!({ "lr": 0.1, "name": "wide" }), "lr=0.1,name=wide"),
            (json!([1, "a"]), r#"[1,"a"]"#),
            (json!({ "deep": { "a": 1 } }), r#"{"deep":{"a":1}}"#),
            (json!({}), "{}"),
        ] {
            assert_eq!(item_name(&item), name);
            assert_eq!(match_item(&item, name), Some(Match::Name), "{item}");
            let named = match_item(&item, &format!("item={name}"));
            assert_eq!(named.is_some(), !item.is_object(), "{item}");
        }
    }

    #[test]
    fn a_file_name_and_some_fields_are_enough() {
        let path = json!("data/2.txt");
        assert_eq!(match_item(&path, "2.txt"), Some(Match::Part));
        for other in ["", "12.txt", "data", ".txt", "/2.txt"] {
            assert_eq!(match_item(&path, other), None, "{other}");
        }
        let table = json!({ "lr": 0.1, "name": "wide", "depth": 4 });
        for text in ["lr=0.1", "name=wide,lr=0.1", "depth=4, name=wide"] {
            assert_eq!(match_item(&table, text), Some(Match::Part), "{text}");
        }
        for other in ["lr=0.2", "lr", "wide", "lr=0.1,", "lr=0.1,name=x"] {
            assert_eq!(match_item(&table, other), None, "{other}");
        }
    }
}
