//! When two rows are the same work.

use std::fmt;

use serde_json::{Map, Value};

use crate::body::Endpoint;
use stepwell_base::ordered_json::Json;

/// Fields of a body whose keys a chat template prints in their order, or an answer has in their order.
const PRINTED: [&str; 4] = ["messages", "tools", "chat_template_kwargs", "response_format"];

/// Everything beside the request that an answer depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Digest of the weights, the tokenizer and the configuration.
    pub model: String,
    /// Digest of the chat template.
    pub template: String,
    /// Version of the engine and the type of its numbers, such as `1/f32`.
    pub engine: String,
}

/// Equal for rows that have equal answers, in any batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub [u8; 32]);

impl RowKey {
    /// The key of a request. `seed` is the seed that the row draws with, or `None` if it draws nothing.
    pub fn of(identity: &Identity, endpoint: Endpoint, body: &Map<String, Value>, seed: Option<u64>) -> RowKey {
        RowKey::of_ordered(identity, endpoint, (body, None), seed)
    }

    /// Like [`RowKey::of`], for a body whose order of keys counts, because the chat template prints parts of it.
    pub fn of_ordered(
        identity: &Identity,
        endpoint: Endpoint,
        (body, ordered): (&Map<String, Value>, Option<&Json>),
        seed: Option<u64>,
    ) -> RowKey {
        let mut hasher = blake3::Hasher::new_derive_key("stepwell batch row 1");
        for part in [&identity.model, &identity.template, &identity.engine, endpoint.as_str()] {
            text(&mut hasher, part);
        }
        hasher.update(&[u8::from(seed.is_some())]);
        hasher.update(&seed.unwrap_or(0).to_le_bytes());
        // The model is known by its digest, whatever the request calls it.
        object(&mut hasher, body, |name| name != "model");
        for part in PRINTED {
            if let Some(printed) = ordered.and_then(|ordered| ordered.get(part)) {
                text(&mut hasher, &serde_json::to_string(printed).unwrap_or_default());
            }
        }
        RowKey(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

/// The seed of a row that names none: rows with other ids draw other samples, equal rows equal ones.
pub fn seed_of(custom_id: &str, body: &Map<String, Value>) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("stepwell batch seed 1");
    text(&mut hasher, custom_id);
    object(&mut hasher, body, |name| name != "model");
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

fn text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

/// Hashes the fields in the order of their names, so that their order in the file does not count.
fn object(hasher: &mut blake3::Hasher, fields: &Map<String, Value>, counts: impl Fn(&str) -> bool) {
    let mut sorted: Vec<(&String, &Value)> =
        fields.iter().filter(|(name, value)| counts(name) && !value.is_null()).collect();
    sorted.sort_by_key(|(name, _)| *name);
    hasher.update(b"{");
    hasher.update(&(sorted.len() as u64).to_le_bytes());
    for (name, value) in sorted {
        text(hasher, name);
        canonical(hasher, value);
    }
}

fn canonical(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Null => drop(hasher.update(b"n")),
        Value::Bool(flag) => drop(hasher.update(if *flag { b"t" } else { b"f" })),
        Value::Number(number) => {
            hasher.update(b"#");
            text(hasher, &number.to_string());
        }
        Value::String(string) => {
            hasher.update(b"\"");
            text(hasher, string);
        }
        Value::Array(items) => {
            hasher.update(b"[");
            hasher.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| canonical(hasher, item));
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            hasher.update(b"{");
            hasher.update(&(sorted.len() as u64).to_le_bytes());
            for (name, value) in sorted {
                text(hasher, name);
                canonical(hasher, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity() -> Identity {
        Identity { model: "m".to_owned(), template: "t".to_owned(), engine: "1/f32".to_owned() }
    }

    fn key(body: &Value, seed: Option<u64>) -> RowKey {
        RowKey::of(&identity(), Endpoint::ChatCompletions, body.as_object().unwrap(), seed)
    }

    #[test]
    fn order_of_fields_name_of_the_model_and_nulls_do_not_count() {
        let one = json!({"model": "a", "n": 1, "x": {"b": 1, "c": [1, "2"]}});
        let other: Value =
            serde_json::from_str(r#"{"x": {"c": [1, "2"], "b": 1}, "stop": null, "n": 1, "model": "b"}"#).unwrap();
        assert_eq!(key(&one, None), key(&other, None));
    }

    #[test]
    fn everything_else_counts() {
        let body = json!({"n": 1, "x": ["a", "b"]});
        let base = key(&body, None);
        let others = [
            key(&json!({"n": 2, "x": ["a", "b"]}), None),
            key(&json!({"n": 1, "x": ["ab", ""]}), None),
            key(&json!({"n": 1, "x": [["a"], "b"]}), None),
            key(&body, Some(0)),
            RowKey::of(&identity(), Endpoint::Completions, body.as_object().unwrap(), None),
            RowKey::of(
                &Identity { engine: "1/bf16".to_owned(), ..identity() },
                Endpoint::ChatCompletions,
                body.as_object().unwrap(),
                None,
            ),
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(*other != base && !others[index + 1..].contains(other), "{index}");
        }
    }

    #[test]
    fn the_order_of_tools_counts() {
        let key = |text: &str| {
            let body: Value = serde_json::from_str(text).unwrap();
            let ordered: Json = serde_json::from_str(text).unwrap();
            RowKey::of_ordered(
                &identity(),
                Endpoint::ChatCompletions,
                (body.as_object().unwrap(), Some(&ordered)),
                None,
            )
        };
        assert_ne!(key(r#"{"tools": [{"a": 1, "b": 2}]}"#), key(r#"{"tools": [{"b": 2, "a": 1}]}"#));
        assert_eq!(key(r#"{"n": 1, "tools": [{"a": 1}]}"#), key(r#"{"tools": [{"a": 1}], "n": 1}"#));
    }

    #[test]
    fn a_seed_depends_on_id_and_body() {
        let (one, other) = (json!({"n": 1}), json!({"n": 2}));
        let seed = |id: &str, body: &Value| seed_of(id, body.as_object().unwrap());
        assert_eq!(seed("a", &one), seed("a", &one));
        assert!(seed("a", &one) != seed("b", &one) && seed("a", &one) != seed("a", &other));
    }
}
