//! Tokenizer that also decodes, for the steps that use a trained model.

use tokenizers::Tokenizer;

use super::tokenize::{Encoder, Method, load_tokenizer};
use super::tokenizer_train::PAD;
use stepwell_base::failure::Failure;
use stepwell_train::model::hf_config::SpecialTokens;

/// Converts text to token ids and back.
pub struct TextCodec {
    encoder: Encoder,
    tokenizer: Tokenizer,
    pub special: SpecialTokens,
}

impl TextCodec {
    /// # Errors
    /// When the bytes are no tokenizer, or a special token is missing.
    pub fn load(json: &[u8]) -> Result<Self, Failure> {
        // Prompts are short: the library's encoder is quick enough, and our own would first need a check against it.
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

    /// Number of tokens in the vocabulary.
    pub fn vocab(&self) -> u32 {
        self.encoder.vocab
    }

    /// Encodes each text, without special tokens.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Failure> {
        self.encoder.encode(texts)
    }

    /// Decodes token ids, and leaves out special tokens.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Failure> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|error| Failure::fatal(format!("the tokenizer cannot decode token ids: {error}")))
    }
}
