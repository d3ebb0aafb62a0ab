//! `corpus.clean`: normalise, filter, remove duplicates, split into training shards and validation.

mod handler;
mod markup;
mod normalise;
mod split;

#[cfg(test)]
mod tests;

pub use handler::CORPUS_CLEAN;
