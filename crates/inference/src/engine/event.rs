//! What a step reports.

use crate::sampling::Logprobs;

/// Something that happened to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt has been computed. Only if `prompt_logprobs` was asked for: an entry per token; the first token has none.
    Prompt { id: u64, logprobs: Vec<Option<Logprobs>> },
    /// A token of a completion.
    Token {
        id: u64,
        /// Which of the `n` completions.
        choice: usize,
        token: u32,
        /// Text that is certain now; it may lag behind the tokens. Empty without a tokenizer.
        text: String,
        logprobs: Option<Logprobs>,
    },
    /// The last event of a completion.
    Finished(Finished),
}

/// A completion that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub id: u64,
    pub choice: usize,
    /// All tokens, without a stop token.
    pub tokens: Vec<u32>,
    /// Tokens that were generated, with a stop token.
    pub generated: usize,
    /// Tokens of the prompt, and those of them that the prefix cache had.
    pub prompt_tokens: usize,
    pub cached_tokens: usize,
    /// The whole text; empty without a tokenizer.
    pub text: String,
    /// The part of the text that no [`Event::Token`] has had.
    pub last_text: String,
    pub reason: Reason,
}

/// Why a completion ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// At a stop token or stop string.
    Stop(StopCause),
    /// At `max_tokens`, or at the end of the context.
    Length,
    Failed(Failure),
}

/// What ended a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A token that ends texts of this model.
    Eos(u32),
    /// One of `stop_token_ids`.
    Token(u32),
    /// One of `stop`.
    Text(String),
    /// The JSON object is complete.
    Json,
}

/// Why there is no answer. There never is a made-up one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the model's scores are no numbers at token {position}")]
    NotFinite { position: usize },
    #[error("the tokenizer cannot decode token {position}")]
    Undecodable { position: usize },
    #[error("no token may follow at token {position}: all are banned, or none continues the JSON text")]
    NoToken { position: usize },
}
