//! `eval`: measures the quality of a trained model, and of a trigram model on the same text.

mod baseline;
mod handler;
mod minimal_pairs;
mod repetition;
mod results;

#[cfg(test)]
mod tests;

pub use handler::EVAL;
