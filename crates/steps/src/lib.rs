//! Step kinds: what runs, with a file or a folder for each kind.
//!
//! A kind knows its arguments, its inputs and the artifact store. It does not know the engine or the database. Start reading
//! at [`StepHandler`] and [`registry`].

#[cfg(feature = "train")]
mod adapters;
mod build_features;
mod command;
mod constitution;
mod corpus_clean;
mod corpus_documents;
mod corpus_import;
#[cfg(feature = "train")]
mod eval;
mod evaluation;
#[cfg(feature = "train")]
mod export;
mod finding;
#[cfg(feature = "train")]
mod generate;
mod grammar;
mod handler;
mod infer;
mod invisible;
pub mod models;
mod noop;
mod partial;
mod preferences;
mod process;
mod registry;
#[cfg(feature = "train")]
mod replace_file;
#[cfg(feature = "train")]
pub mod sampling;
mod sft;
mod study;
#[cfg(test)]
mod tests;
#[cfg(feature = "train")]
pub mod text_codec;
mod tokenize;
mod tokenizer_train;
#[cfg(feature = "train")]
mod train;
#[cfg(feature = "train")]
pub mod trained_model;
mod trigram;
#[cfg(feature = "train")]
mod tuning_file;
mod waiting;

#[cfg(feature = "train")]
pub use adapters::{ADAPTER_IMPORT, ADAPTER_MERGE};
pub use build_features::build_features;
pub use command::fuzzed as command_files;
pub use command::{ProjectFiles, adopt_orphans, has_program, kill_program, last_lines, own_binary, read_secret};
pub use constitution::ConstitutionKind;
pub use corpus_clean::CORPUS_CLEAN;
pub use corpus_documents::{DocumentReader, document_files};
pub use corpus_import::CORPUS_IMPORT;
#[cfg(feature = "train")]
pub use eval::EVAL;
pub use evaluation::EVAL_COMPARE;
#[cfg(feature = "train")]
pub use export::EXPORT;
pub use finding::{Finding, Weight};
#[cfg(feature = "train")]
pub use generate::GENERATE;
pub use handler::{
    CheckpointLine, Highlight, Misfit, Reporter, StepContext, StepError, StepHandler, Surroundings, arguments,
};
pub use infer::{
    AnsweringModel, CANCEL_FILE as BATCH_CANCEL_FILE, ChatModel, INFER, INFER_CELLS, INFER_MATRIX, INFER_MEASURE,
    Reply, Told,
};
pub use models::{MODEL_EVAL, MODEL_EXPORT, MODEL_IMPORT};
#[cfg(feature = "train")]
pub use preferences::PREFERENCES_REFERENCE;
pub use preferences::PREFERENCES_TOKENIZE;
pub use process::{MemoryKills, TreeUsage, own_cpu_seconds, tree_usage};
pub use registry::{catalog, find, registry};
pub use sft::{Encoded, ExampleEncoder, ExampleLines, SFT_TOKENIZE};
pub use study::{STUDY_REPORT, STUDY_RUNS};
#[cfg(feature = "train")]
pub use tokenize::load_tokenizer;
pub use tokenize::{Encoder, Method, TOKENIZE};
pub use tokenizer_train::TOKENIZER_TRAIN;
#[cfg(feature = "train")]
pub use train::{FIND_RATE, TRAIN, preview};
