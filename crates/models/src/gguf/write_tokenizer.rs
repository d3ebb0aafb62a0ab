//! Keys of a tokenizer for llama.cpp.

use serde_json::Value;

use crate::error::Problem;
use crate::model::Model;

use super::write::{Flag, Header};

/// What a header says about a byte-level BPE.
pub struct TokenizerKeys {
    pre: &'static str,
    tokens: Vec<String>,
    types: Vec<i32>,
    merges: Vec<String>,
    ids: Vec<(&'static str, u32)>,
    starts: Flag,
    template: Option<String>,
}

impl TokenizerKeys {
    /// # Errors
    /// `Tokenizer` when it is no byte-level BPE, or cuts texts in a way that llama.cpp has no name for.
    pub fn of(model: &Model) -> Result<TokenizerKeys, Problem> {
        let refused = |why: &str| Problem::Tokenizer(why.to_owned());
        let json = model.tokenizer.to_json()?;
        if json["model"]["type"] != "BPE" || json["model"]["byte_fallback"] == true {
            return Err(refused("only byte-level BPE tokenizers can be written"));
        }
        let merge = |merge: &Value| match merge {
            Value::String(text) => Some(text.clone()),
            Value::Array(pair) => Some(format!("{} {}", pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
            _ => None,
        };
        let merges = json["model"]["merges"].as_array().and_then(|list| list.iter().map(merge).collect());
        let pre = pre_tokenizer(&json["pre_tokenizer"]);
        let pre = pre.ok_or_else(|| refused("llama.cpp has no name for how it cuts texts into words"))?;
        let (mut tokens, mut types) = (Vec::new(), Vec::new());
        for id in 0..model.shape.vocab as u32 {
            let (token, kind) = match model.tokenizer.name_of(id) {
                // Types as llama.cpp numbers them: control, user-defined, normal, unused.
                Some(token) if model.tokenizer.is_special(id) => (token, 3),
                Some(token) if model.tokenizer.is_added(id) => (token, 4),
                Some(token) => (token, 1),
                None => (format!("[PAD{id}]"), 5),
            };
            tokens.push(token);
            types.push(kind);
        }
        let special = &model.special;
        let ids = [("bos", special.bos), ("eos", special.eos.first().copied()), ("padding", special.pad)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id?))).collect();
        let starts = model.tokenizer.encode_text("")?.first().is_some_and(|first| special.bos == Some(*first));
        let template = model.chat.as_ref().and_then(|chat| chat.sources().get("default").cloned());
        let starts = if starts { Flag::True } else { Flag::False };
        Ok(TokenizerKeys { pre, tokens, types, merges: merges.unwrap_or_default(), ids, starts, template })
    }

    pub fn write(&self, keys: &mut Header) {
        keys.text_key("tokenizer.ggml.model", "gpt2");
        keys.text_key("tokenizer.ggml.pre", self.pre);
        keys.texts_key("tokenizer.ggml.tokens", &self.tokens);
        keys.numbers_key("tokenizer.ggml.token_type", &self.types);
        keys.texts_key("tokenizer.ggml.merges", &self.merges);
        for (name, id) in &self.ids {
            keys.count_key(&format!("tokenizer.ggml.{name}_token_id"), *id);
        }
        keys.flag_key("tokenizer.ggml.add_bos_token", self.starts);
        if let Some(template) = &self.template {
            keys.text_key("tokenizer.chat_template", template);
        }
    }
}

/// llama.cpp's name for how a text is cut into words.
fn pre_tokenizer(json: &Value) -> Option<&'static str> {
    let steps = match json["type"].as_str()? {
        "Sequence" => json["pretokenizers"].as_array()?.clone(),
        _ => vec![json.clone()],
    };
    let text = |step: &Value| match step["type"].as_str() {
        Some("Split") => step["pattern"]["Regex"].as_str().map(str::to_owned),
        Some("Digits") if step["individual_digits"] == true => Some(r"\p{N}".to_owned()),
        Some("ByteLevel") if step["use_regex"] == true => Some(super::tokenizer_json::GPT2.to_owned()),
        Some("ByteLevel") => Some(String::new()),
        _ => None,
    };
    let texts: Vec<String> = steps.iter().map(text).collect::<Option<_>>()?;
    let patterns: Vec<&str> = texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    super::tokenizer_json::name_of(&patterns)
}
