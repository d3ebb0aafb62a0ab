//! What an evaluation asks of a model.

use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Tokens, and the first of them whose likelihood is wanted; at least one token comes before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sequence {
    pub tokens: Vec<u32>,
    pub from: usize,
}

/// A text to be continued with the likeliest tokens, up to the end of its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prompt {
    pub tokens: Vec<u32>,
    pub most_tokens: usize,
}

/// A model that an evaluation measures.
pub trait Scorer {
    /// Most tokens of a [`Sequence`].
    fn window(&self) -> usize;

    /// Encodes a whole text, with the token that starts one if texts of this model start with one.
    fn encode(&self, text: &str) -> Result<Vec<u32>, Failure>;

    /// Encodes a part of a text.
    fn encode_part(&self, text: &str) -> Result<Vec<u32>, Failure>;

    /// The token before a text without context; `None` if the model has none.
    fn start(&self) -> Option<u32>;

    /// Negative log-likelihoods in nats, each summed over `tokens[from..]`. A result depends neither on other sequences nor
    /// on what was asked before.
    fn score(&mut self, context: &StepContext<'_>, sequences: Vec<Sequence>) -> Result<Vec<f64>, StepError>;

    /// Continues texts greedily. An answer ends before a line break, at the end of the text, or after `most_tokens`.
    fn answer(&mut self, context: &StepContext<'_>, prompts: Vec<Prompt>) -> Result<Vec<String>, StepError>;
}
