//! Step kinds: what runs, one file per kind.

mod corpus_clean;
mod corpus_documents;
mod corpus_import;
#[cfg(feature = "train")]
mod eval;
#[cfg(feature = "train")]
mod export;
#[cfg(feature = "train")]
mod generate;
mod grammar;
mod handler;
#[cfg(feature = "train")]
mod sampling;
#[cfg(feature = "train")]
mod text_codec;
mod tokenize;
mod tokenizer_train;
#[cfg(feature = "train")]
mod train;
#[cfg(feature = "train")]
mod trained_model;
#[cfg(all(test, feature = "train"))]
mod world;

pub use corpus_clean::CORPUS_CLEAN;
pub use corpus_import::CORPUS_IMPORT;
#[cfg(feature = "train")]
pub use eval::EVAL;
#[cfg(feature = "train")]
pub use export::EXPORT;
#[cfg(feature = "train")]
pub use generate::GENERATE;
pub use handler::{Reporter, StepContext, StepError, StepHandler, arguments};
pub use tokenize::TOKENIZE;
pub use tokenizer_train::TOKENIZER_TRAIN;
#[cfg(feature = "train")]
pub use train::TRAIN;
