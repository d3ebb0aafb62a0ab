//! A trained model on its device, as an evaluation sees it.

use crate::evaluation::scoring::{Prompt, Scorer, Sequence};
use crate::handler::{StepContext, StepError};
use crate::text_codec::TextCodec;
use stepwell_base::failure::Failure;
use stepwell_train::evaluation::likelihood;
use stepwell_train::inference::decoder::Decoder;
use stepwell_train::inference::{GenerateOptions, generate_each};
use stepwell_train::model::Transformer;

/// Each text starts with BOS, as in training.
pub struct TrainedScorer<'m> {
    pub model: &'m Transformer,
    pub decoder: &'m Decoder,
    pub codec: &'m TextCodec,
}

impl Scorer for TrainedScorer<'_> {
    fn window(&self) -> usize {
        self.model.config().context + 1
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let bos = self.codec.special.bos_token_id;
        Ok(std::iter::once(bos).chain(self.encode_part(text)?).collect())
    }

    fn encode_part(&self, text: &str) -> Result<Vec<u32>, Failure> {
        Ok(self.codec.encode(&[text])?.into_iter().flatten().collect())
    }

    fn start(&self) -> Option<u32> {
        Some(self.codec.special.bos_token_id)
    }

    fn score(&mut self, context: &StepContext<'_>, sequences: Vec<Sequence>) -> Result<Vec<f64>, StepError> {
        context.check_interrupt()?;
        let sequences: Vec<(&[u32], usize)> =
            sequences.iter().map(|sequence| (sequence.tokens.as_slice(), sequence.from)).collect();
        Ok(likelihood::of_continuations(self.model, &sequences))
    }

    fn answer(&mut self, context: &StepContext<'_>, prompts: Vec<Prompt>) -> Result<Vec<String>, StepError> {
        context.check_interrupt()?;
        let option = |prompt: &Prompt| GenerateOptions {
            max_new_tokens: prompt.most_tokens,
            tokens: self.codec.vocab() as usize,
            ..GenerateOptions::default()
        };
        let options: Vec<GenerateOptions> = prompts.iter().map(option).collect();
        let sequences: Vec<_> = prompts.iter().map(|prompt| prompt.tokens.as_slice()).zip(&options).collect();
        let answers = generate_each(self.decoder, &sequences, self.codec.special.eos_token_id);
        let line = |tokens: Vec<u32>| {
            let text = self.codec.decode(&tokens)?;
            Ok(text.split('\n').next().unwrap_or_default().to_owned())
        };
        answers.into_iter().map(line).collect()
    }
}
