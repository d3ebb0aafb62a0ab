//! `eval`: how good a trained model is, against a trigram model on the same text.

mod baseline;
mod handler;
mod minimal_pairs;
mod repetition;
mod results;

#[cfg(test)]
mod tests;

pub use handler::EVAL;
