//! Bodies of `/v1/chat/completions` and `/v1/completions` as typed, bounded options.

mod fields;
mod messages;
mod options;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use fields::{bounded as shortened, quoted};
pub use messages::MOST_MESSAGES;
pub use options::{
    LONGEST_STOP, MOST_CHOICES, MOST_LOGPROBS, MOST_STOPS, MOST_TOKEN_IDS, MOST_TOKENS, Options, ResponseFormat,
};
pub use request::{Body, Endpoint, MOST_PROMPTS, Prompt};
