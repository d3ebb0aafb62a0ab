//! Content keys: equal keys mean equal work, and a difference can be explained.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::spec::WorkflowSpec;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::StepKey;

/// The key of one step: BLAKE3 of the canonical JSON of everything that its outputs depend on.
/// `with` is resolved, so it holds the digests of the input artifacts.
pub fn step_key(kind: &str, version: u32, with: &Value, fingerprint: &Value) -> StepKey {
    let content = json!({ "kind": kind, "version": version, "with": with, "fingerprint": fingerprint });
    StepKey(Digest::of(canonical(&content).as_bytes()).to_string())
}

/// The digest of a workflow with its resolved parameters, which a run pins.
pub fn spec_digest(spec: &WorkflowSpec) -> String {
    // A spec holds only text keys and finite numbers, so it always has a JSON form.
    let text = serde_json::to_string(spec).unwrap_or_default();
    text_digest(&text).unwrap_or_default()
}

/// Like [`json_digest`] of the value that `text` encodes. Does not build that value, which may be many times
/// larger in memory.
///
/// # Errors
/// When the text is not JSON.
pub fn text_digest(text: &str) -> serde_json::Result<String> {
    let Canonical(canonical) = serde_json::from_str(text)?;
    Ok(Digest::of(canonical.as_bytes()).to_string())
}

/// The digest of a JSON value, independent of the order of its keys.
pub fn json_digest(value: &Value) -> String {
    Digest::of(canonical(value).as_bytes()).to_string()
}

/// JSON without spaces, with keys in byte order.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (index, (key, entry)) in entries.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_scalar(&Value::from(key.as_str()), out);
                out.push(':');
                write_canonical(entry, out);
            }
            out.push('}');
        }
        scalar => write_scalar(scalar, out),
    }
}

fn write_scalar(value: &Value, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

/// The output of [`canonical`], read without the tree of values in between.
struct Canonical(String);

impl<'de> Deserialize<'de> for Canonical {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CanonicalVisitor)
    }
}

struct CanonicalVisitor;

impl CanonicalVisitor {
    fn scalar<E>(value: impl Into<Value>) -> Result<Canonical, E> {
        let mut out = String::new();
        write_scalar(&value.into(), &mut out);
        Ok(Canonical(out))
    }
}

impl<'de> Visitor<'de> for CanonicalVisitor {
    type Value = Canonical;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Canonical, E> {
        Self::scalar(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Canonical, E> {
        Self::scalar(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Canonical, E> {
        Self::scalar(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Canonical, E> {
        Self::scalar(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Canonical, E> {
        Self::scalar(value)
    }

    fn visit_unit<E>(self) -> Result<Canonical, E> {
        Self::scalar(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Canonical, A::Error> {
        let mut out = "[".to_owned();
        while let Some(Canonical(item)) = items.next_element()? {
            out.push_str(if out.len() > 1 { "," } else { "" });
            out.push_str(&item);
        }
        out.push(']');
        Ok(Canonical(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Canonical, A::Error> {
        let mut sorted: BTreeMap<String, String> = BTreeMap::new();
        while let Some((key, Canonical(entry))) = entries.next_entry()? {
            sorted.insert(key, entry);
        }
        let mut out = "{".to_owned();
        for (key, entry) in sorted {
            out.push_str(if out.len() > 1 { "," } else { "" });
            write_scalar(&Value::from(key), &mut out);
            out.push(':');
            out.push_str(&entry);
        }
        out.push('}');
        Ok(Canonical(out))
    }
}

/// One argument that differs between two runs of a step, with both values in short form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// For example `optimizer.lr` or `tokens[2]`.
    pub path: String,
    /// `None` when the argument is new.
    pub old: Option<String>,
    /// `None` when the argument is gone.
    pub new: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "`{}` changed {old} -> {new}", self.path),
            (None, Some(new)) => write!(f, "`{}` is new: {new}", self.path),
            (Some(old), None) => write!(f, "`{}` is gone: it was {old}", self.path),
            (None, None) => write!(f, "`{}`", self.path),
        }
    }
}

/// Explains why two steps have different keys: returns every argument that differs, in order of their paths.
pub fn difference(old_with: &Value, new_with: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", old_with, new_with, &mut changes);
    changes
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) if !(is_artifact(old) && is_artifact(new)) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match (old.get(name), new.get(name)) {
                    (Some(old), Some(new)) => compare(&path, old, new, changes),
                    (old, new) => changes.push(Change { path, old: old.map(short), new: new.map(short) }),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), old, new, changes);
            }
        }
        _ => changes.push(Change { path: path.to_owned(), old: Some(short(old)), new: Some(short(new)) }),
    }
}

fn is_artifact(object: &Map<String, Value>) -> bool {
    object.len() == 3 && ["digest", "size", "media_type"].iter().all(|name| object.contains_key(*name))
}

/// Formats a value in at most about 60 characters.
fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Object(object) if is_artifact(object) => {
            object["digest"].as_str().unwrap_or_default().chars().take(12).collect()
        }
        Value::Array(items) if canonical(value).len() > LONGEST => format!("a list of {}", items.len()),
        Value::Object(entries) if canonical(value).len() > LONGEST => format!("a table of {}", entries.len()),
        _ => {
            let text = canonical(value);
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(old: Value, new: Value) -> Vec<String> {
        difference(&old, &new).iter().map(Change::to_string).collect()
    }

    #[test]
    fn names_the_path_and_both_values() {
        let old = json!({ "optimizer": { "lr": 0.001, "wd": 0.1 }, "vocab_size": 2048, "old": true });
        let new = json!({ "optimizer": { "lr": 0.002, "wd": 0.1 }, "vocab_size": 4096, "names": ["a"] });
        assert_eq!(
            changes(old, new),
            [
                "`names` is new: [\"a\"]",
                "`old` is gone: it was true",
                "`optimizer.lr` changed 0.001 -> 0.002",
                "`vocab_size` changed 2048 -> 4096",
            ]
        );
    }

    #[test]
    fn shows_the_short_digests_of_artifacts() {
        let artifact = |text: &str| json!({ "digest": Digest::of(text.as_bytes()), "size": 1, "media_type": "x" });
        let old = json!({ "tokens": [artifact("a"), artifact("b")] });
        let new = json!({ "tokens": [artifact("a"), artifact("c")] });
        let (b, c) = (Digest::of(b"b").to_string(), Digest::of(b"c").to_string());
        assert_eq!(changes(old, new), [format!("`tokens[1]` changed {} -> {}", &b[..12], &c[..12])]);
    }

    #[test]
    fn lists_of_other_lengths_are_one_change() {
        assert_eq!(changes(json!({ "x": [1] }), json!({ "x": [1, 2] })), ["`x` changed [1] -> [1,2]"]);
        let long: Vec<u32> = (0..100).collect();
        assert_eq!(changes(json!({ "x": [1] }), json!({ "x": long })), ["`x` changed [1] -> a list of 100"]);
    }

    #[test]
    fn every_part_changes_the_key() {
        let base = step_key("train", 1, &json!({ "steps": 10 }), &Value::Null);
        assert_eq!(base.0.len(), 64);
        for other in [
            step_key("eval", 1, &json!({ "steps": 10 }), &Value::Null),
            step_key("train", 2, &json!({ "steps": 10 }), &Value::Null),
            step_key("train", 1, &json!({ "steps": 11 }), &Value::Null),
            step_key("train", 1, &json!({ "steps": "10" }), &Value::Null),
            step_key("train", 1, &json!({ "steps": 10 }), &json!("flex")),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn canonical_json_is_what_is_written_here() {
        let value = json!({ "b": [1, 2.5, null], "a": { "z": "\n\u{e9}", "y": true } });
        assert_eq!(canonical(&value), "{\"a\":{\"y\":true,\"z\":\"\\n\u{e9}\"},\"b\":[1,2.5,null]}");
    }

    #[test]
    fn the_digest_of_a_text_is_that_of_its_value() {
        for text in ["[]", "{}", " null ", r#"{"b":[1,-2,2.5,1e300,null,true],"a":{"z":"\n\u00e9","":{}},"a":"twice"}"#]
        {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(text_digest(text).unwrap(), json_digest(&value), "{text}");
        }
        assert!(text_digest("{").is_err());
    }

    proptest! {
        #[test]
        fn key_does_not_depend_on_the_order_of_entries(
            entries in proptest::collection::btree_map("[a-z]{1,6}", -1000i64..1000, 0..8),
        ) {
            let forward: Map<String, Value> = entries.iter().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
            let backward: Map<String, Value> = entries.iter().rev().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
            let nested = |map: &Map<String, Value>| json!({ "with": [map] });
            prop_assert_eq!(
                step_key("k", 1, &nested(&forward), &Value::Null),
                step_key("k", 1, &nested(&backward), &Value::Null)
            );
        }

        #[test]
        fn difference_is_empty_exactly_for_equal_values(
            a in proptest::collection::btree_map("[a-c]", 0u8..3, 0..4),
            b in proptest::collection::btree_map("[a-c]", 0u8..3, 0..4),
        ) {
            let (old, new) = (json!(a), json!(b));
            prop_assert_eq!(difference(&old, &new).is_empty(), canonical(&old) == canonical(&new));
        }
    }
}
