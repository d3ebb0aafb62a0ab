//! Tasks that are made from a seed: a question is a function of task, seed, size and number.

mod arithmetic;
mod brackets;
mod line;
mod sequences;

pub use line::{Form, MOST_SHOTS, Recipe};
