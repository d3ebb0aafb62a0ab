//! `corpus.clean`: normalises, filters and deduplicates documents, and splits them into training shards and validation.

mod handler;
mod markup;
mod normalise;
mod split;

#[cfg(test)]
mod tests;

pub use handler::CORPUS_CLEAN;
