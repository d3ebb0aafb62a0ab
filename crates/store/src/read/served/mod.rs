//! Queries of the OpenAI-compatible routes.

mod batches;
mod files;

pub use files::{FilePage, Order};
