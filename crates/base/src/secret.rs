//! Secrets of a workflow. The file names the source of each, and only the process that needs one reads it.
//! A template sees an unguessable stand-in. Stored data has the name instead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Arguments of a `command` that may hold secrets. All others are stored or shown.
pub const PLACES: [&str; 3] = ["argv", "env", "shell"];

/// The source of a value, read when an attempt starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// An environment variable of the engine.
    Env(String),
    /// A file, relative to the folder of the workflow file if it is there, else to the directory of the process.
    File(String),
}

/// A secret as sent to an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Secret {
    pub name: String,
    pub source: SecretSource,
}

/// Stand-ins in arguments, which the attempt replaces with the secrets.
pub type StandIns = BTreeMap<String, Secret>;

/// Makes a stand-in for each secret, by name. `nonce` must be new: data that holds an old stand-in stays data.
pub fn stand_ins(sources: &BTreeMap<String, SecretSource>, nonce: Uuid) -> BTreeMap<String, String> {
    sources.keys().map(|name| (name.clone(), format!("<secret {name} {}>", nonce.simple()))).collect()
}

/// Splits evaluated arguments into the form to store, with `{{ secrets.NAME }}` for each stand-in, and the stand-ins
/// that occur.
pub fn named(
    with: &Value,
    stand_ins: &BTreeMap<String, String>,
    sources: &BTreeMap<String, SecretSource>,
) -> (Value, StandIns) {
    let mut used = StandIns::new();
    let named = map_texts(with, &mut |text| {
        let mut text = text.to_owned();
        for (name, stand_in) in stand_ins {
            if let (true, Some(source)) = (text.contains(stand_in), sources.get(name)) {
                text = text.replace(stand_in, &format!("{{{{ secrets.{name} }}}}"));
                used.insert(stand_in.clone(), Secret { name: name.clone(), source: source.clone() });
            }
        }
        text
    });
    (named, used)
}

/// Copies a value with every text except keys replaced.
pub fn map_texts(value: &Value, replace: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(replace(text)),
        Value::Array(items) => items.iter().map(|item| map_texts(item, replace)).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), map_texts(value, replace))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// True for a name that usually stands for a secret. Tokens of a language model do not count.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let words: Vec<&str> = name.split('_').collect();
    let special = |word: &&str| matches!(*word, "bos" | "eos" | "pad" | "unk" | "mask" | "sep" | "cls" | "special");
    if words.iter().any(special) {
        return false;
    }
    let alone =
        |word: &&str| matches!(*word, "password" | "passwd" | "secret" | "apikey" | "credential" | "credentials");
    let key = |pair: &[&str]| matches!(pair, ["api" | "access" | "private" | "secret", "key"]);
    words.iter().any(alone) || words.windows(2).any(key) || words.last() == Some(&"token")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_has_names_and_only_a_stand_in_becomes_one() {
        let sources = BTreeMap::from([
            ("token".to_owned(), SecretSource::Env("TOKEN".to_owned())),
            ("other".to_owned(), SecretSource::File("o.txt".to_owned())),
        ]);
        let stand_ins = stand_ins(&sources, Uuid::from_u128(7));
        let with = json!({
            "env": { "A": stand_ins["token"], "B": format!("Bearer {}!", stand_ins["token"]) },
            "argv": ["x", "{{ secrets.other }}", "<secret other 1>"],
        });
        let (kept, used) = named(&with, &stand_ins, &sources);
        let expected = json!({
            "env": { "A": "{{ secrets.token }}", "B": "Bearer {{ secrets.token }}!" },
            "argv": ["x", "{{ secrets.other }}", "<secret other 1>"],
        });
        assert_eq!(kept, expected);
        let secret = Secret { name: "token".to_owned(), source: SecretSource::Env("TOKEN".to_owned()) };
        assert_eq!(used, BTreeMap::from([(stand_ins["token"].clone(), secret)]));
        let again = super::stand_ins(&sources, Uuid::from_u128(8));
        assert_ne!(again["token"], stand_ins["token"]);
        assert_eq!(named(&with, &again, &sources).1, BTreeMap::new(), "an old stand-in is data");
    }

    #[test]
    fn sources_are_written_as_in_the_file() {
        let text = json!({ "env": "HF_TOKEN" });
        assert_eq!(serde_json::to_value(SecretSource::Env("HF_TOKEN".to_owned())).unwrap(), text);
    }

    #[test]
    fn names_that_sound_secret_are_told_from_those_of_language_models() {
        for name in ["token", "HF_TOKEN", "api-key", "db_password", "client_secret", "AWS_SECRET_ACCESS_KEY", "apikey"]
        {
            assert!(sounds_secret(name), "{name}");
        }
        for name in ["tokens", "max_tokens", "tokenizer", "eos_token", "token_limit", "key", "secretary", "keyboard"] {
            assert!(!sounds_secret(name), "{name}");
        }
    }
}
