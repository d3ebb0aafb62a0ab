//! Reasons why an engine cannot start or a request is refused.

use crate::cache::PoolError;
use crate::cpu::IsaError;
use crate::network::LoadError;
use crate::sampling::InvalidOption;

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("`{option}` is {found}; it must be {expected}")]
    Option { option: &'static str, found: usize, expected: String },
    #[error(transparent)]
    Isa(#[from] IsaError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Cache(#[from] PoolError),
}

impl EngineError {
    /// True if the system refuses the memory of the cache: a smaller one may do.
    pub fn lacks_memory(&self) -> bool {
        matches!(self, EngineError::Cache(PoolError::Memory { .. }))
    }
}

/// The request is refused; nothing of it has been queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    #[error("token {token} at position {position} of the prompt is outside of the vocabulary of {vocab} tokens")]
    Token { token: u32, position: usize, vocab: usize },
    #[error("the prompt has {prompt} tokens, but the context has {context}, and one of them is for the answer")]
    PromptTooLong { prompt: usize, context: usize },
    #[error(
        "prompt and answer have up to {tokens} tokens, but the cache holds {capacity}; ask for fewer `max_tokens` or raise \
         `cache_bytes`"
    )]
    CacheTooSmall { tokens: usize, capacity: usize },
    #[error(transparent)]
    Option(#[from] InvalidOption),
    #[error("`{option}` needs a tokenizer, and this engine has none")]
    NoTokenizer { option: &'static str },
    #[error("a request with the id {id} is not finished yet")]
    DuplicateId { id: u64 },
}
