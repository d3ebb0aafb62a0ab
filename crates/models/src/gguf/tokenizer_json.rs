//! `tokenizer.json` for the tokenizers of llama.cpp.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::error::{Problem, shown};

/// A token of the vocabulary, with its type as llama.cpp numbers it.
pub struct Token<'a> {
    pub text: &'a str,
    pub kind: i64,
}

const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// How SentencePiece starts a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// With a space, as if it were the middle of a text.
    Space,
    AsIs,
}

/// Ids of the tokens before and after a text.
type Around = (Option<usize>, Option<usize>);

/// How GPT-2 cuts a text into words.
pub const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// How Qwen 2 does; Llama 3 has groups of up to three digits instead of single ones.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The name of the patterns that cut a text, one after the other.
pub fn name_of(patterns: &[&str]) -> Option<&'static str> {
    match patterns {
        [GPT2] => Some("gpt-2"),
        [r"\p{N}", GPT2] => Some("smollm"),
        [QWEN2] => Some("qwen2"),
        [LLAMA3] => Some("llama-bpe"),
        _ => None,
    }
}

/// A byte-level BPE. `pre` is llama.cpp's name for how texts are cut into words.
///
/// # Errors
/// `Tokenizer` for an unknown `pre`, and for a merge that is not two tokens.
pub fn byte_level(tokens: &[Token<'_>], merges: &[&str], pre: &str, around: Around) -> Result<Value, Problem> {
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let (cuts, normalizer, whole_words) = match pre {
        "default" | "gpt-2" => (vec![split(GPT2)], Value::Null, false),
        "smollm" => (vec![split(r"\p{N}"), split(GPT2)], Value::Null, false),
        "qwen2" => (vec![split(QWEN2)], json!({"type": "NFC"}), false),
        "llama-bpe" | "llama3" | "llama-v3" => (vec![split(LLAMA3)], Value::Null, true),
        other => {
            let why = format!(
                "pre-tokenizer `{}` is not known; known are `gpt-2`, `smollm`, `qwen2`, `llama-bpe`",
                shown(other)
            );
            return Err(Problem::Tokenizer(why));
        }
    };
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let pairs: Option<Vec<Value>> =
        merges.iter().map(|merge| merge.split_once(' ').map(|(left, right)| json!([left, right]))).collect();
    let pairs =
        pairs.ok_or_else(|| Problem::Tokenizer("a merge is not two tokens with a space between them".into()))?;
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": whole_words,
        "vocab": vocabulary(tokens), "merges": pairs,
    });
    let cuts = cuts.into_iter().chain([bytes.clone()]).collect::<Vec<_>>();
    Ok(tokenizer(tokens, normalizer, json!({"type": "Sequence", "pretokenizers": cuts}), bytes, model, around))
}

/// A BPE of SentencePiece: its scores give the order of the merges.
///
/// # Errors
/// `Tokenizer` when there is no unknown token.
pub fn sentence_piece(tokens: &[Token<'_>], scores: &[f32], start: Start, around: Around) -> Result<Value, Problem> {
    let unknown = tokens.iter().find(|token| token.kind == UNKNOWN);
    let unknown = unknown.ok_or_else(|| Problem::Tokenizer("no token has the type of the unknown one".into()))?;
    let space = "\u{2581}";
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": space});
    let mut steps = vec![replace];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": space}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if start == Start::Space {
        steps.insert(0, json!({"type": "Prepend", "prepend": space}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": unknown.text, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
        "vocab": vocabulary(tokens), "merges": merges_of_scores(tokens, scores),
    });
    let normalizer = json!({"type": "Sequence", "normalizers": steps});
    let decoder = json!({"type": "Sequence", "decoders": decoders});
    Ok(tokenizer(tokens, normalizer, Value::Null, decoder, model, around))
}

/// Bytes of a token that may come from a merge; SentencePiece's longest have 48.
const MERGED: usize = 256;

/// All ways to make a token of two others, the best token first.
fn merges_of_scores<'a>(tokens: &[Token<'a>], scores: &[f32]) -> Vec<[&'a str; 2]> {
    let ids: HashMap<&str, usize> = tokens.iter().enumerate().map(|(id, token)| (token.text, id)).collect();
    let mut merges = Vec::new();
    for (token, score) in tokens.iter().zip(scores) {
        if matches!(token.kind, UNKNOWN | CONTROL | USER_DEFINED) || token.text.len() > MERGED {
            continue;
        }
        let mut own = Vec::new();
        for (at, _) in token.text.char_indices().skip(1) {
            let (left, right) = token.text.split_at(at);
            if let (Some(left_id), Some(right_id)) = (ids.get(left), ids.get(right)) {
                own.push((*left_id, *right_id, left, right));
            }
        }
        own.sort_unstable();
        merges.extend(own.into_iter().map(|(_, _, left, right)| (*score, left, right)));
    }
    let length = |text: &str| text.chars().count();
    merges.sort_by(|one, other| {
        let lengths = |merge: &(f32, &str, &str)| Reverse((length(merge.1), length(merge.2)));
        other.0.total_cmp(&one.0).then_with(|| lengths(one).cmp(&lengths(other)))
    });
    merges.into_iter().map(|(_, left, right)| [left, right]).collect()
}

fn vocabulary(tokens: &[Token<'_>]) -> Map<String, Value> {
    tokens.iter().enumerate().map(|(id, token)| (token.text.to_owned(), Value::from(id))).collect()
}

fn tokenizer(
    tokens: &[Token<'_>],
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
    around: Around,
) -> Value {
    let added: Vec<Value> = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| matches!(token.kind, UNKNOWN | CONTROL | USER_DEFINED))
        .map(|(id, token)| {
            json!({
                "id": id, "content": token.text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": token.kind != USER_DEFINED,
            })
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": processor(tokens, around), "decoder": decoder, "model": model,
    })
}

/// Adds the tokens before and after a text.
fn processor(tokens: &[Token<'_>], (before, after): Around) -> Value {
    if before.is_none() && after.is_none() {
        return Value::Null;
    }
    let special = |id: usize, sequence: usize| json!({"SpecialToken": {"id": tokens[id].text, "type_id": sequence}});
    let text = |name: &str, sequence: usize| {
        let mut pieces: Vec<Value> = before.map(|id| special(id, sequence)).into_iter().collect();
        pieces.push(json!({"Sequence": {"id": name, "type_id": sequence}}));
        pieces.extend(after.map(|id| special(id, sequence)));
        pieces
    };
    let known: Map<String, Value> = [before, after]
        .into_iter()
        .flatten()
        .map(|id| {
            (tokens[id].text.to_owned(), json!({"id": tokens[id].text, "ids": [id], "tokens": [tokens[id].text]}))
        })
        .collect();
    let pair = [text("A", 0), text("B", 1)].concat();
    json!({"type": "TemplateProcessing", "single": text("A", 0), "pair": pair, "special_tokens": known})
}
