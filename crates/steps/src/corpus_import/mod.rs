//! `corpus.import`: turns text from files, or from the built-in grammar, into documents.

mod arguments;
mod findings;
mod handler;
mod import;
mod json;
mod read;
mod remote;
mod sink;
mod source;

#[cfg(test)]
mod tests;

pub use findings::Findings;
pub use handler::CORPUS_IMPORT;
pub use source::{Pattern, Walk};
