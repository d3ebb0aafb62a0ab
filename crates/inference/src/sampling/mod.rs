//! The choice of the next token.

mod choose;
mod form;
mod json;
mod logprobs;
mod options;
mod penalties;
mod schema;
mod stop;

pub use choose::choose;
pub use form::{FormState, Format, TokenBytes};
pub use logprobs::{Logprob, Logprobs, logprobs};
pub use options::{InvalidOption, SamplingOptions, limits};
pub use penalties::{Seen, adjust};
pub use schema::{Grammar, SchemaError, SchemaState};
pub use stop::StopScanner;
