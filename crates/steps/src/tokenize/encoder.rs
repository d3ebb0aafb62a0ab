//! Turns text into token ids, with our own encoder where it supports the tokenizer, otherwise with the `tokenizers`
//! library.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use tokenizers::Tokenizer;

use super::byte_bpe::{ByteBpe, NotUnderstood};
use super::library::load_tokenizer;
use crate::tokenizer_train::{BOS, EOS};
use stepwell_base::failure::Failure;
use stepwell_base::token_file::Width;

/// Encoder to use. Both give the same ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Stepwell's own encoder, checked against the library on a sample of the documents. It leaves tokenizers of
    /// another form to the library.
    #[default]
    Fast,
    /// The `tokenizers` library.
    Tokenizers,
}

/// A loaded tokenizer. Text that spells a special token is encoded as text, so only the end of a document gives
/// `EOS`.
pub struct Encoder {
    tokenizer: Tokenizer,
    fast: Option<ByteBpe>,
    not_understood: Option<NotUnderstood>,
    pub bos: u32,
    pub eos: u32,
    pub vocab: u32,
}

impl Encoder {
    /// Loads a tokenizer.
    ///
    /// # Errors
    /// When the bytes are not a tokenizer, or the tokenizer has no `<bos>` or `<eos>`.
    pub fn load(json: &[u8], method: Method) -> Result<Encoder, Failure> {
        let tokenizer = load_tokenizer(json)?;
        let special = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| {
                Failure::fatal(format!("the tokenizer has no token `{token}`"))
                    .with_hint("`tokenizer` must be the output of `tokenizer.train`")
            })
        };
        let ends = (special(BOS)?, special(EOS)?);
        Encoder::between(json, method, ends)
    }

    /// Loads a tokenizer whose documents start and end with these tokens.
    ///
    /// # Errors
    /// When the bytes are not a tokenizer.
    pub fn between(json: &[u8], method: Method, (bos, eos): (u32, u32)) -> Result<Encoder, Failure> {
        let mut tokenizer = load_tokenizer(json)?;
        tokenizer.set_encode_special_tokens(true);
        let vocab = u32::try_from(tokenizer.get_vocab_size(true))
            .map_err(|_| Failure::fatal("the tokenizer's vocabulary does not fit 32 bits"))?;
        let (fast, not_understood) = match method {
            Method::Tokenizers => (None, None),
            Method::Fast => match ByteBpe::load(json) {
                Ok(fast) => (Some(fast), None),
                Err(why) => (None, Some(why)),
            },
        };
        Ok(Encoder { tokenizer, fast, not_understood, bos, eos, vocab })
    }

    /// Replaces our own encoder by one for another tokenizer, so that it differs from the library.
    #[cfg(test)]
    pub fn with_wrong_fast(mut self, json: &[u8]) -> Encoder {
        self.fast = ByteBpe::load(json).ok();
        self
    }

    /// Reason that the library encodes although our own encoder was requested.
    pub fn not_understood(&self) -> Option<&NotUnderstood> {
        self.not_understood.as_ref()
    }

    pub fn width(&self) -> Width {
        Width::for_vocab(self.vocab)
    }

    /// Encodes the texts on all cores and returns the token ids of each, in order, without special tokens.
    ///
    /// # Errors
    /// When the tokenizer cannot encode a text.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Failure> {
        texts.par_iter().map(|text| self.encode_text(text)).collect()
    }

    /// Encodes one text, without special tokens.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, Failure> {
        match self.fast.as_ref().and_then(|fast| fast.encode(text)) {
            Some(ids) => Ok(ids),
            None => self.encode_by_library(text),
        }
    }

    /// Index of the first token id of a text that differs from the library's, if any.
    ///
    /// # Errors
    /// When the library cannot encode the text.
    pub fn first_difference(&self, text: &str, ids: &[u32]) -> Result<Option<usize>, Failure> {
        if self.fast.is_none() {
            return Ok(None);
        }
        let expected = self.encode_by_library(text)?;
        let equal = ids.iter().zip(&expected).take_while(|(id, expected)| id == expected).count();
        Ok((ids != expected).then_some(equal))
    }

    fn encode_by_library(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let encoding = self.tokenizer.encode_fast(text, false);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Failure::fatal(format!("the tokenizer cannot encode a text: {error}")))
    }
}
