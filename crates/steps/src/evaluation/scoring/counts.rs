//! Models of counts, the baselines: they cut texts into tokens as the measured model does.

use super::scorer::{Prompt, Scorer, Sequence};
use crate::handler::{StepContext, StepError};
use crate::trigram::Trigram;
use stepwell_base::failure::Failure;

/// How many tokens a count looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    Unigram,
    Trigram,
}

impl Order {
    pub const ALL: [Order; 2] = [Order::Unigram, Order::Trigram];

    /// Negative log-likelihood of `tokens[from..]` in nats.
    pub fn nats(self, counts: &Trigram, tokens: &[u32], from: usize) -> f64 {
        let probability = |at: usize| match self {
            Order::Unigram => counts.probability(&[], tokens[at]),
            Order::Trigram => counts.probability(&tokens[..at], tokens[at]),
        };
        (from..tokens.len()).map(|at| -probability(at).ln()).sum()
    }

    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Order::Unigram => "unigram",
            Order::Trigram => "trigram",
        }
    }
}

/// Counts of the training text, as a scorer.
pub struct Counts<'a, S> {
    pub counts: &'a Trigram,
    pub order: Order,
    pub model: &'a S,
}

impl<S: Scorer> Scorer for Counts<'_, S> {
    /// The window of the model, so that both see the same tokens.
    fn window(&self) -> usize {
        self.model.window()
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, Failure> {
        self.model.encode(text)
    }

    fn encode_part(&self, text: &str) -> Result<Vec<u32>, Failure> {
        self.model.encode_part(text)
    }

    fn start(&self) -> Option<u32> {
        self.model.start()
    }

    fn score(&mut self, context: &StepContext<'_>, sequences: Vec<Sequence>) -> Result<Vec<f64>, StepError> {
        context.check_interrupt()?;
        Ok(sequences.iter().map(|sequence| self.order.nats(self.counts, &sequence.tokens, sequence.from)).collect())
    }

    /// Counts write nothing.
    fn answer(&mut self, _context: &StepContext<'_>, prompts: Vec<Prompt>) -> Result<Vec<String>, StepError> {
        Ok(vec![String::new(); prompts.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_are_sums_over_the_tokens_that_count() {
        let mut counts = Trigram::new(6);
        counts.train(&[0, 2, 3, 4, 1]);
        counts.train(&[0, 3, 4, 1]);
        let tokens = [0, 2, 3, 4];
        let trigram = -(counts.probability(&[0, 2], 3).ln() + counts.probability(&[2, 3], 4).ln());
        assert!((Order::Trigram.nats(&counts, &tokens, 2) - trigram).abs() < 1e-12);
        let unigram = -(counts.probability(&[], 3).ln() + counts.probability(&[], 4).ln());
        assert!((Order::Unigram.nats(&counts, &tokens, 2) - unigram).abs() < 1e-12);
        assert!(Order::Trigram.nats(&counts, &tokens, 4).abs() < f64::EPSILON);
    }
}
