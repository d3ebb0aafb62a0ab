//! Answers of a model while the client waits: whole, or as a stream of server-sent events.

mod channel;
mod load;
mod routes;
mod stream;
mod whole;

pub use channel::{Answer, CompletionSink, FinishReason, Listening, Piece, TokenLogprobs, Usage};
pub use load::{InferenceLoad, Latencies};
pub use routes::routes;
