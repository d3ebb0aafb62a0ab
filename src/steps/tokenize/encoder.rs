//! Text to token ids.

use rayon::prelude::*;
use tokenizers::Tokenizer;

use crate::core::failure::Failure;
use crate::core::token_file::Width;
use crate::steps::tokenizer_train::{BOS, EOS};

/// A loaded tokenizer. Text that spells a special token is encoded as text, so that only document ends give `EOS`.
pub struct Encoder {
    tokenizer: Tokenizer,
    pub bos: u32,
    pub eos: u32,
    pub vocab: u32,
}

impl Encoder {
    /// # Errors
    /// When the bytes are no tokenizer, or it has no `<bos>` and `<eos>`.
    pub fn load(json: &[u8]) -> Result<Encoder, Failure> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| {
            Failure::fatal(format!("the tokenizer cannot be loaded: {error}"))
                .with_hint("`tokenizer` must be the output of `tokenizer.train`")
        })?;
        tokenizer.set_encode_special_tokens(true);
        let special = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| {
                Failure::fatal(format!("the tokenizer has no token `{token}`"))
                    .with_hint("`tokenizer` must be the output of `tokenizer.train`")
            })
        };
        let (bos, eos) = (special(BOS)?, special(EOS)?);
        let vocab = u32::try_from(tokenizer.get_vocab_size(true))
            .map_err(|_| Failure::fatal("the tokenizer's vocabulary does not fit 32 bits"))?;
        Ok(Encoder { tokenizer, bos, eos, vocab })
    }

    pub fn width(&self) -> Width {
        Width::for_vocab(self.vocab)
    }

    /// Token ids of each text, without special tokens, in order.
    ///
    /// # Errors
    /// When the tokenizer cannot encode a text.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Failure> {
        let encode = |text: &&str| {
            let encoding = self.tokenizer.encode_fast(*text, false);
            encoding
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| Failure::fatal(format!("the tokenizer cannot encode a text: {error}")))
        };
        texts.par_iter().map(encode).collect()
    }
}
