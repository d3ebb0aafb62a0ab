//! Batches of requests, in the files of OpenAI's Batch API and of vLLM's `run-batch`. Pure: no clocks, no files, no model.
//!
//! [`lines`] reads and judges the file, [`body`] makes a request of the body of a line, [`results`] makes the lines of the
//! result files, [`key`] says when two rows are the same work, and [`estimate`] when a batch will be done.

pub mod body;
pub mod error;
pub mod estimate;
pub mod key;
pub mod lines;
pub mod results;
pub mod window;

pub use error::{Code, RowError};
