//! Errors of artifacts. Every message says what to do.

use std::io;
use std::path::{Path, PathBuf};

use stepwell_base::artifact::Digest;
use stepwell_base::failure::{Failure, is_no_space};

use super::outside::OutsideError;

#[derive(Debug, thiserror::Error)]
#[error("{}; {}", self.what(), self.hint())]
pub enum ArtifactError {
    Missing {
        digest: Digest,
        path: PathBuf,
    },
    /// The content of the file does not match its name.
    Damaged {
        digest: Digest,
        path: PathBuf,
        actual: Digest,
    },
    /// The content is intact, but the reference states another size.
    WrongSize {
        digest: Digest,
        path: PathBuf,
        expected: u64,
        actual: u64,
    },
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    NoSpace {
        path: PathBuf,
        source: io::Error,
        /// Bytes that must be free, where known.
        needed: Option<u64>,
    },
    InvalidTree {
        reason: String,
    },
    /// A file or folder already exists at the target path.
    Occupied {
        path: PathBuf,
    },
    Outside(OutsideError),
}

impl ArtifactError {
    /// Maps an IO error. "No space" is separate, because freeing space makes a retry succeed.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> ArtifactError {
        let path = path.to_owned();
        if is_no_space(&source) {
            ArtifactError::NoSpace { path, source, needed: None }
        } else {
            ArtifactError::Io { action, path, source }
        }
    }

    /// Reports missing space before anything was written.
    pub(super) fn no_space(path: &Path, needed: u64) -> ArtifactError {
        let source = io::ErrorKind::StorageFull.into();
        ArtifactError::NoSpace { path: path.to_owned(), source, needed: Some(needed) }
    }

    /// Describes the problem alone, in lower case.
    pub fn what(&self) -> String {
        match self {
            ArtifactError::Missing { digest, path } => {
                format!("artifact {digest} is missing: there is no file `{}`", path.display())
            }
            ArtifactError::Damaged { digest, path, actual } => {
                format!("artifact {digest} is damaged: the content of `{}` has digest {actual}", path.display())
            }
            ArtifactError::WrongSize { digest, path, expected, actual } => {
                format!("the reference to artifact {digest} says {expected} bytes, `{}` has {actual}", path.display())
            }
            ArtifactError::Io { action, path, .. } => format!("cannot {action} `{}`", path.display()),
            ArtifactError::NoSpace { path, .. } => format!("no space left to write `{}`", path.display()),
            ArtifactError::InvalidTree { reason } => format!("invalid artifact tree: {reason}"),
            ArtifactError::Occupied { path } => {
                format!("`{}` exists: a file replaces a regular file only, a folder an empty folder", path.display())
            }
            ArtifactError::Outside(error) => error.to_string(),
        }
    }

    pub fn hint(&self) -> String {
        match self {
            ArtifactError::Missing { .. } | ArtifactError::Damaged { .. } => {
                "restore that file from a backup, or remove it and run the step that made it again".to_owned()
            }
            ArtifactError::WrongSize { .. } => "run `stepwell db check`, the record of the step is damaged".to_owned(),
            ArtifactError::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "make the folder writable, or choose another one with `--state-dir`".to_owned()
                }
                _ => "check the disk and the path".to_owned(),
            },
            ArtifactError::NoSpace { .. } => {
                "free some space on that disk, then continue with `stepwell resume last`".to_owned()
            }
            ArtifactError::InvalidTree { .. } => "use relative paths with `/`, without `.` and `..`".to_owned(),
            ArtifactError::Occupied { .. } => "choose another name, or remove what is there".to_owned(),
            ArtifactError::Outside(error) => error.hint().to_owned(),
        }
    }
}

impl From<OutsideError> for ArtifactError {
    fn from(error: OutsideError) -> ArtifactError {
        ArtifactError::Outside(error)
    }
}

/// Lack of space and IO errors can pass by themselves; missing or damaged content cannot.
impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Failure {
        let failure = match &error {
            ArtifactError::Outside(outside) => outside.into(),
            ArtifactError::NoSpace { source, needed, .. } => {
                Failure { needed_bytes: *needed, ..Failure::io(error.what(), source) }
            }
            ArtifactError::Io { source, .. } => Failure::io(error.what(), source),
            _ => Failure::fatal(error.what()),
        };
        failure.with_hint(error.hint())
    }
}
