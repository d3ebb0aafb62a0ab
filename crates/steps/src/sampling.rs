//! Samples from a trained model, for `generate` and `eval`.

use serde::Serialize;

use super::text_codec::TextCodec;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::rng::derive_seed;
use stepwell_train::inference::decoder::Decoder;
use stepwell_train::inference::{GenerateOptions, generate_each};

/// Sampling options. Sample `n` draws from its own seed, so it does not depend on the others.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sampling {
    pub max_new_tokens: usize,
    pub temperature: f32,
    pub top_k: Option<usize>,
    pub top_p: Option<f32>,
    pub seed: u64,
}

/// A prompt and the model's continuation.
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
        self.options(0, usize::MAX).validate().map_err(|error| Failure::from_error(FailureKind::Fatal, &error))
    }

    /// Draws sample number `index`: `BOS`, the prompt, and the tokens that the model adds up to `EOS`.
    pub fn draw(&self, decoder: &Decoder, codec: &TextCodec, prompt: &str, index: u64) -> Result<Sample, Failure> {
        Ok(self.draw_each(decoder, codec, &[prompt], index)?.remove(0))
    }

    /// Draws one sample per prompt in one batch; the texts equal those of [`Sampling::draw`]. `first` is the number of
    /// the first sample.
    pub fn draw_each(
        &self,
        decoder: &Decoder,
        codec: &TextCodec,
        prompts: &[&str],
        first: u64,
    ) -> Result<Vec<Sample>, Failure> {
        let with_bos = |ids: Vec<u32>| [vec![codec.special.bos_token_id], ids].concat();
        let ids: Vec<Vec<u32>> = codec.encode(prompts)?.into_iter().map(with_bos).collect();
        let option = |index| self.options(index, codec.vocab() as usize);
        let options: Vec<GenerateOptions> = (first..).take(prompts.len()).map(option).collect();
        let sequences: Vec<_> = ids.iter().map(Vec::as_slice).zip(&options).collect();
        let answers = generate_each(decoder, &sequences, codec.special.eos_token_id);
        let sample = |(prompt, tokens): (&&str, Vec<u32>)| {
            Ok(Sample { prompt: (*prompt).to_owned(), text: codec.decode(&tokens)?, tokens })
        };
        prompts.iter().zip(answers).map(sample).collect()
    }

    fn options(&self, sample: u64, tokens: usize) -> GenerateOptions {
        let Sampling { max_new_tokens, temperature, top_k, top_p, seed } = *self;
        let seed = derive_seed(seed, "sample", sample);
        GenerateOptions { max_new_tokens, temperature, top_k, top_p, seed, tokens }
    }
}

impl Sample {
    /// Prompt and continuation, cut to `limit` characters.
    pub fn short(&self, limit: usize) -> String {
        self.prompt.chars().chain(self.text.chars()).take(limit).collect()
    }
}
