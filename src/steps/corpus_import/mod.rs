//! `corpus.import`: text from files, or from the built-in grammar, as documents.

mod decode;
mod handler;
mod sources;
mod text;

#[cfg(test)]
mod tests;

pub use handler::CORPUS_IMPORT;
