//! One completion that is being computed.

use std::sync::Arc;

use stepwell_models::TokenStream;

use super::event::{Finished, Reason, StopCause};
use crate::cache::Node;
use crate::sampling::{FormState, Logprobs, SamplingOptions, Seen, StopScanner};

/// Tokens of one completion, and where their keys and values are.
pub(super) struct Sequence<'m> {
    /// Order of arrival.
    pub arrival: u64,
    pub id: u64,
    pub choice: usize,
    pub options: Arc<SamplingOptions>,
    /// The prompt, then the completion.
    pub tokens: Vec<u32>,
    pub prompt_len: usize,
    /// Most tokens, with the prompt.
    pub limit: usize,
    /// Leading tokens whose keys and values are in the cache.
    pub computed: usize,
    pub blocks: Vec<u32>,
    /// Leading blocks that are in the index of prefixes, and where they end.
    pub published: usize,
    pub node: Node,
    /// It has positions of its own, see [`crate::network::Span`].
    pub extended: bool,
    /// Tokens of the prompt that the prefix cache had at first.
    pub cached_tokens: Option<usize>,
    pub seen: Seen,
    pub prompt_logprobs: Vec<Option<Logprobs>>,
    pub stream: Option<TokenStream<'m>>,
    pub scanner: StopScanner,
    /// State of a text that must have a form, after the bytes written so far.
    pub form: Option<FormState>,
}

impl Sequence<'_> {
    /// Tokens that are not in the cache yet.
    pub fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Number of tokens of the completion.
    pub fn generated(&self) -> usize {
        self.tokens.len() - self.prompt_len
    }

    /// True until the whole prompt is in the cache.
    pub fn is_prefilling(&self) -> bool {
        self.computed < self.prompt_len
    }

    /// True if logits at all positions of the prompt are wanted, and some are missing.
    pub fn scores_prompt(&self) -> bool {
        self.options.prompt_logprobs.is_some() && self.prompt_logprobs.len() < self.prompt_len
    }

    /// Ends the completion. `stopped` counts a stop token that is not among the tokens.
    pub fn finish(mut self, reason: Reason, stopped: usize) -> Finished {
        let ends_in_text = matches!(reason, Reason::Stop(StopCause::Text(_)));
        if let Some(Ok(piece)) = self.stream.take().filter(|_| !ends_in_text).map(TokenStream::finish) {
            // No stop string contains what an incomplete character becomes.
            self.scanner.push(&piece, &[], false);
        }
        let last_text = self.scanner.rest();
        Finished {
            id: self.id,
            choice: self.choice,
            generated: self.generated() + stopped,
            prompt_tokens: self.prompt_len,
            cached_tokens: self.cached_tokens.unwrap_or(0),
            text: self.scanner.text().to_owned(),
            last_text,
            tokens: self.tokens.split_off(self.prompt_len),
            reason,
        }
    }
}
