//! `builtin:grammar`: clean English-like text from a small grammar, and minimal pairs that test whether a model has
//! learnt the grammar rather than the sentences. See `specs/corpus.md`.

mod composer;
mod corpus;
mod draw;
mod held_out;
mod lexicon;
mod pairs;
mod phrase;
mod story;
mod words;

#[cfg(test)]
mod tests;

pub use corpus::Grammar;
