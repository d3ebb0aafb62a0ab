//! The choice of the next token.

mod choose;
mod json;
mod logprobs;
mod options;
mod penalties;
mod stop;

pub use choose::choose;
pub use json::JsonState;
pub use logprobs::{Logprob, Logprobs, logprobs};
pub use options::{Format, InvalidOption, SamplingOptions, limits};
pub use penalties::{Seen, adjust};
pub use stop::StopScanner;
