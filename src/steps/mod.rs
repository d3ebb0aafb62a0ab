//! Step kinds: what runs, one file per kind.

mod corpus_clean;
mod corpus_documents;
mod corpus_import;
#[cfg(test)]
mod corpus_test_support;
mod grammar;
mod handler;
mod tokenize;
mod tokenizer_train;

pub use corpus_clean::CORPUS_CLEAN;
pub use corpus_import::CORPUS_IMPORT;
pub use handler::{Reporter, StepContext, StepError, StepHandler, arguments};
pub use tokenize::TOKENIZE;
pub use tokenizer_train::TOKENIZER_TRAIN;
