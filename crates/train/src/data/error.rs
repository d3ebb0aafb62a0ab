//! Errors of training data, with advice for the user.

use std::path::PathBuf;

use stepwell_base::token_file::TokenFileError;

/// Token files that cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot read the token file {}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{name} is not a usable token file")]
    Format { name: String, source: TokenFileError },
    #[error(
        "{name}: document {document} ends at token {end}, which does not follow the end before it or lies outside the file"
    )]
    DocumentEnd { name: String, document: u64, end: u64 },
    #[error("there is no text to train on: the token files hold no documents")]
    Empty,
    #[error("{name} was made by another tokenizer: {what} is {actual} there and {expected} in {other}")]
    Mismatch { name: String, other: String, what: &'static str, expected: u32, actual: u32 },
    #[error("the context is 0 tokens")]
    NoContext,
    #[error("a context of {context} tokens is longer than all documents together: they have {tokens} tokens")]
    ContextTooLong { context: usize, tokens: u64 },
    #[error("no document teaches anything: within the context, no token is learned")]
    NothingLearned,
    #[error("the weight of source {source_number} is {weight}")]
    Weight { source_number: usize, weight: f64 },
    #[error("the weights of all sources are 0, so there is nothing to mix")]
    NoWeight,
    #[error("a mixture has 1 to {most} sources, not {sources}")]
    Sources { sources: usize, most: usize },
}

impl DataError {
    /// Advice for the user.
    pub fn hint(&self) -> Option<String> {
        match self {
            DataError::NoContext => Some("set `context` to 2 or more".to_owned()),
            DataError::ContextTooLong { tokens, .. } => {
                Some(format!("set `context` to {tokens} or less, or import more text"))
            }
            DataError::Mismatch { .. } => {
                Some("tokenize the documents again with the tokenizer that is passed to this step".to_owned())
            }
            DataError::Format { .. } | DataError::DocumentEnd { .. } => {
                Some("run the `tokenize` step again; its output cannot be used".to_owned())
            }
            DataError::Empty => Some("check what `corpus.clean` dropped, and that the corpus is not empty".to_owned()),
            DataError::NothingLearned => {
                Some("raise `context`, or check with `data preview` what the answers are".to_owned())
            }
            DataError::Weight { .. } => Some("a weight is a number from 0 on".to_owned()),
            DataError::NoWeight => Some("give one source a weight above 0, such as 1".to_owned()),
            DataError::Sources { .. } => Some("tokenize sources that belong together as one".to_owned()),
            DataError::Io { .. } => None,
        }
    }
}
