//! What an engine is asked for.

use crate::sampling::SamplingOptions;

/// A prompt to be completed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Names the request in events; unique among those that are not finished.
    pub id: u64,
    /// Tokens of the prompt, at least one; special tokens are the caller's.
    pub prompt: Vec<u32>,
    pub sampling: SamplingOptions,
}
