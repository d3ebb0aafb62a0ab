//! Reads a `tokenizer.json` of exactly the form that `tokenizer.train` writes. Any other field or value leaves the
//! tokenizer to the library.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::hash::FastMap;
use super::merges::Merges;

/// Reason to leave a tokenizer to the `tokenizers` library.
#[derive(Debug, thiserror::Error)]
pub enum NotUnderstood {
    #[error("its form is another: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it has {0}")]
    Feature(&'static str),
    #[error("its vocabulary has no token `{0}`")]
    NoToken(String),
    #[error("its vocabulary gives two tokens one id, or its merges name a pair twice")]
    Ambiguous,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: String,
    truncation: Option<IgnoredAny>,
    padding: Option<IgnoredAny>,
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: PreTokenizer,
    post_processor: Option<IgnoredAny>,
    #[serde(rename = "decoder")]
    _decoder: IgnoredAny,
    model: Model,
}

/// Only the `special` flag matters: text that spells a special token is encoded as text.
#[derive(Deserialize)]
struct AddedToken {
    special: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreTokenizer {
    #[serde(rename = "type")]
    kind: String,
    add_prefix_space: bool,
    #[serde(rename = "trim_offsets")]
    _trim_offsets: IgnoredAny,
    use_regex: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    dropout: Option<IgnoredAny>,
    unk_token: Option<IgnoredAny>,
    continuing_subword_prefix: Option<IgnoredAny>,
    end_of_word_suffix: Option<IgnoredAny>,
    #[serde(rename = "fuse_unk")]
    _fuse_unk: IgnoredAny,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: HashMap<String, u32>,
    merges: Vec<(String, String)>,
}

/// All properties of a tokenizer that affect its ids.
pub struct Rules {
    pub merges: Merges,
    /// True if text is normalised to NFKC before encoding.
    pub nfkc: bool,
}

/// Reads the rules of a tokenizer.
///
/// # Errors
/// When the tokenizer has any other property that could change its ids.
pub fn read(json: &[u8]) -> Result<Rules, NotUnderstood> {
    let form: Form = serde_json::from_slice(json)?;
    let (split, model) = (&form.pre_tokenizer, &form.model);
    let nfkc = form.normalizer == Some(json!({"type": "NFKC"}));
    let features = [
        (form.version != "1.0", "another version"),
        (form.truncation.is_some(), "truncation"),
        (form.padding.is_some(), "padding"),
        (form.added_tokens.iter().any(|token| !token.special), "added tokens that are not special"),
        (form.normalizer.is_some() && !nfkc, "another normalizer than NFKC"),
        (split.kind != "ByteLevel" || !split.use_regex, "another pre-tokenizer than GPT-2's"),
        (split.add_prefix_space, "a prefix space"),
        (form.post_processor.is_some(), "a post-processor"),
        (model.kind != "BPE", "another model than BPE"),
        (model.dropout.is_some(), "dropout"),
        (model.unk_token.is_some(), "an unknown token"),
        (model.continuing_subword_prefix.is_some(), "a prefix inside words"),
        (model.end_of_word_suffix.is_some(), "a suffix at the ends of words"),
        (model.byte_fallback, "byte fallback"),
        (model.ignore_merges, "words that ignore merges"),
    ];
    if let Some((_, name)) = features.into_iter().find(|(present, _)| *present) {
        return Err(NotUnderstood::Feature(name));
    }
    Ok(Rules { merges: merges(model)?, nfkc })
}

fn merges(model: &Model) -> Result<Merges, NotUnderstood> {
    let ids: HashSet<u32> = model.vocab.values().copied().collect();
    if ids.len() < model.vocab.len() {
        return Err(NotUnderstood::Ambiguous);
    }
    let id = |token: &str| model.vocab.get(token).copied().ok_or_else(|| NotUnderstood::NoToken(token.to_owned()));
    let mut bytes = [0; 256];
    for (token, byte) in bytes.iter_mut().zip(0..=u8::MAX) {
        *token = id(byte_char(byte).encode_utf8(&mut [0; 4]))?;
    }
    let mut pairs = FastMap::default();
    for ((left, right), rank) in model.merges.iter().zip(0..) {
        let merged = id(&format!("{left}{right}"))?;
        if pairs.insert((id(left)?, id(right)?), (rank, merged)).is_some() {
            return Err(NotUnderstood::Ambiguous);
        }
    }
    Ok(Merges { bytes, pairs })
}

/// Character that stands for a byte in GPT-2's vocabularies: the byte's own character if that is visible Latin-1,
/// otherwise the next character from U+0100 on.
pub fn byte_char(byte: u8) -> char {
    let visible = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if visible(&byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !visible(byte)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or_default()
}
