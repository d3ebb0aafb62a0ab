//! `eval`: measures the quality of a trained model, and of a trigram model on the same text.

mod arguments;
mod baseline;
mod handler;
mod minimal_pairs;
mod results;
mod scorer;

#[cfg(test)]
mod tests;

pub use handler::EVAL;
