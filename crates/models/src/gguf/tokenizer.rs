//! The tokenizer in a file's keys.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Problem, shown};
use crate::tokenizer::Tokenizer;

use super::metadata::{Metadata, Value};
use super::tokenizer_json::{Start, Token, byte_level, sentence_piece};

/// Bytes of a token. The longest known ones have 512.
const TOKEN: usize = 4096;

/// Special tokens by the names that templates know.
type Named = BTreeMap<&'static str, String>;

/// # Errors
/// `Tokenizer` for a kind that is not known, or lists that do not fit each other.
pub fn read(metadata: &Metadata<'_>) -> Result<(Tokenizer, Named), Problem> {
    let failed = |why: String| Problem::Tokenizer(why);
    let texts = metadata.texts("tokenizer.ggml.tokens")?;
    let types = match metadata.get("tokenizer.ggml.token_type") {
        Some(Value::Wholes(types)) if types.len() == texts.len() => types.clone(),
        None => vec![1; texts.len()],
        Some(_) => return Err(failed("`tokenizer.ggml.token_type` is not a number for each token".into())),
    };
    let mut places = HashMap::with_capacity(texts.len());
    let mut tokens = Vec::with_capacity(texts.len());
    for (id, (text, kind)) in texts.iter().zip(types).enumerate() {
        if text.len() > TOKEN {
            return Err(failed(format!("token {id} has {} bytes, and at most {TOKEN} are read", text.len())));
        }
        if let Some(other) = places.insert(*text, id) {
            return Err(failed(format!("tokens {other} and {id} are both `{}`", shown(text))));
        }
        tokens.push(Token { text, kind });
    }
    let flag = |name: &str| metadata.flag(&format!("tokenizer.ggml.{name}")).map(|flag| flag.unwrap_or(false));
    let id = |name: &str| metadata.count(&format!("tokenizer.ggml.{name}_token_id"), 0, texts.len().saturating_sub(1));
    let around = |flag: bool, id: Option<usize>| id.filter(|_| flag);
    let (bos, eos) = (id("bos")?, id("eos")?);
    let model = metadata.text("tokenizer.ggml.model")?.unwrap_or_default();
    let json = match model {
        "gpt2" => {
            let pre = metadata.text("tokenizer.ggml.pre")?.unwrap_or("default");
            let merges = metadata.texts("tokenizer.ggml.merges")?;
            byte_level(
                &tokens,
                merges,
                pre,
                (around(flag("add_bos_token")?, bos), around(flag("add_eos_token")?, eos)),
            )?
        }
        "llama" => {
            let scores = match metadata.get("tokenizer.ggml.scores") {
                Some(Value::Floats(scores)) if scores.len() == texts.len() => scores,
                _ => return Err(failed("`tokenizer.ggml.scores` is not a number for each token".into())),
            };
            let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
            let start = if prefix { Start::Space } else { Start::AsIs };
            // SentencePiece adds the start unless it is told otherwise.
            let starts = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(true);
            sentence_piece(&tokens, scores, start, (around(starts, bos), around(flag("add_eos_token")?, eos)))?
        }
        other => return Err(failed(format!("kind `{}` is not known; known are `gpt2` and `llama`", shown(other)))),
    };
    let json = serde_json::to_vec(&json).map_err(|error| failed(error.to_string()))?;
    let tokenizer = Tokenizer::from_json(&json)?;
    let names = [("bos_token", bos), ("eos_token", eos), ("pad_token", id("padding")?), ("unk_token", id("unknown")?)];
    let named = names.into_iter().filter_map(|(name, id)| Some((name, texts.get(id?)?.to_string()))).collect();
    Ok((tokenizer, named))
}
