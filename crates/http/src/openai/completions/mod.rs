//! Answers of a model while the client waits: whole, or as a stream of server-sent events.

mod channel;
mod load;
mod routes;
mod stream;
mod whole;

pub use channel::{CompletionSink, Listening, Piece, Pieces};
pub use load::{InferenceLoad, Latencies};
pub use routes::routes;
