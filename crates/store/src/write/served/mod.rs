//! What the OpenAI-compatible routes store.

mod batches;
mod files;
