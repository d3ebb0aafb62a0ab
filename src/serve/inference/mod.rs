//! Answers requests while their clients wait: one model at a time, on a thread of its own, several requests at once.

mod answering;
mod drive;
mod queue;
#[cfg(test)]
mod tests;
mod worker;

pub use worker::{Inference, InferenceOptions};
