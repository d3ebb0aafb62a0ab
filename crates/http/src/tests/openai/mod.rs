//! The routes of OpenAI's API.

mod batches;
mod completions;
mod failures;
mod files;
mod served;
mod shown;
