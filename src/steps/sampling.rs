//! Samples of a trained model, for `generate` and `eval`.

use serde::Serialize;

use super::text_codec::TextCodec;
use crate::core::failure::{Failure, FailureKind};
use crate::core::rng::derive_seed;
use crate::train::decoder::Decoder;
use crate::train::generate::{GenerateOptions, generate_with};

/// How text is sampled. Sample `n` draws from its own seed, so that it does not depend on the others.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sampling {
    pub max_new_tokens: usize,
    pub temperature: f32,
    pub top_k: Option<usize>,
    pub top_p: Option<f32>,
    pub seed: u64,
}

/// A prompt and how the model went on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sample {
    pub prompt: String,
    pub text: String,
    #[serde(skip)]
    pub tokens: Vec<u32>,
}

impl Sampling {
    /// # Errors
    /// When an option is out of range.
    pub fn validate(&self) -> Result<(), Failure> {
        self.options(0).validate().map_err(|error| Failure::from_error(FailureKind::Fatal, &error))
    }

    /// Sample number `index`: `BOS`, the prompt, and what the model adds until `EOS`.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn draw(&self, decoder: &Decoder, codec: &TextCodec, prompt: &str, index: u64) -> Result<Sample, Failure> {
        let mut ids = vec![codec.special.bos_token_id];
        ids.extend(codec.encode(&[prompt])?.into_iter().flatten());
        let tokens = generate_with(decoder, &ids, &self.options(index), codec.special.eos_token_id);
        Ok(Sample { prompt: prompt.to_owned(), text: codec.decode(&tokens)?, tokens })
    }

    fn options(&self, sample: u64) -> GenerateOptions {
        let Sampling { max_new_tokens, temperature, top_k, top_p, seed } = *self;
        GenerateOptions { max_new_tokens, temperature, top_k, top_p, seed: derive_seed(seed, "sample", sample) }
    }
}

impl Sample {
    /// Prompt and continuation, cut to `limit` characters.
    pub fn short(&self, limit: usize) -> String {
        self.prompt.chars().chain(self.text.chars()).take(limit).collect()
    }
}
