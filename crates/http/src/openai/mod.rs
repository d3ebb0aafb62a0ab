//! The routes of OpenAI's API that its clients need for batches and for models: `/v1/...`, and `/start` for whole jobs.
//!
//! A batch is a row and a run. The row says what was asked for and how it ended; until it has ended, the run says how it
//! goes. [`keeper`] moves each batch one step at a time, and may be killed between any two.

mod answer;
mod batches;
mod bell;
mod completions;
mod digest;
mod files;
mod keeper;
mod models;
mod page;
mod refused;
mod routes;

pub use answer::{answered, is_ours};
pub use batches::{
    BatchRun, Fill, NewBatch, OnBadLine, Situation, ask_to_cancel, counts, find as find_batch, lenient, status,
    store as store_batch,
};
pub use bell::Bell;
pub use completions::{CompletionSink, InferenceLoad, Latencies, Listening, Piece, Pieces};
pub use files::{LARGEST_FORM, Uploads, content_of, in_time, text_of};
pub use keeper::keep;
#[cfg(test)]
pub use keeper::round;
pub use refused::offered;
pub use routes::routes;
