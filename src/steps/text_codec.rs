//! A tokenizer that also decodes, for the steps that work with a trained model.

use tokenizers::Tokenizer;

use super::tokenize::{Encoder, Method, load_tokenizer};
use super::tokenizer_train::PAD;
use crate::core::failure::Failure;
use crate::train::hf_config::SpecialTokens;

/// Text to token ids and back.
pub struct TextCodec {
    encoder: Encoder,
    tokenizer: Tokenizer,
    pub special: SpecialTokens,
}

impl TextCodec {
    /// # Errors
    /// When the bytes are no tokenizer, or it lacks a special token.
    pub fn load(json: &[u8]) -> Result<Self, Failure> {
        // Prompts are short: the library's own encoder is quick enough and needs no check.
        let encoder = Encoder::load(json, Method::Tokenizers)?;
        let unusable = |why: String| {
            Failure::fatal(format!("the tokenizer {why}"))
                .with_hint("`tokenizer` must be the output of `tokenizer.train`")
        };
        let tokenizer = load_tokenizer(json)?;
        let pad = tokenizer.token_to_id(PAD).ok_or_else(|| unusable(format!("has no token `{PAD}`")))?;
        let special = SpecialTokens { bos_token_id: encoder.bos, eos_token_id: encoder.eos, pad_token_id: pad };
        Ok(TextCodec { encoder, tokenizer, special })
    }

    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Tokens of the vocabulary.
    pub fn vocab(&self) -> u32 {
        self.encoder.vocab
    }

    /// Token ids of each text, without special tokens.
    ///
    /// # Errors
    /// When the tokenizer cannot encode a text.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Failure> {
        self.encoder.encode(texts)
    }

    /// The text of token ids, special tokens left out.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Failure> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|error| Failure::fatal(format!("the tokenizer cannot decode token ids: {error}")))
    }
}
