//! Tasks that are made from a seed: a question is a function of task, seed, size and number.

mod arithmetic;
mod brackets;
mod line;
mod recipe;
mod sequences;

pub use recipe::{Form, MOST_SHOTS, Recipe};
