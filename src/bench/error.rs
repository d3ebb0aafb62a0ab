//! Why nothing could be measured.

use std::io;

use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
    /// The measured process did not do what it was to do.
    #[error("`stepwell {command}` {what}")]
    Child { command: String, what: String },
}

impl BenchError {
    pub(super) fn system(action: &'static str) -> impl FnOnce(io::Error) -> BenchError {
        move |source| BenchError::System { action, source }
    }
}
