//! Writes content into the artifact store as it arrives, and counts and digests it on the way.

use std::io::Write;
use std::path::Path;

use axum::http::StatusCode;
use bytes::Bytes;

use crate::openai::digest::Sha256;
use crate::problem::Problem;
use stepwell_artifact::{ArtifactError, ArtifactStore, ArtifactWriter};
use stepwell_base::artifact::ArtifactRef;

/// Largest file in bytes, as for batches of OpenAI.
pub const LARGEST: usize = 200 << 20;
/// Media type of lines of JSON.
const LINES: &str = "application/jsonl";

/// Content on its way to the disk.
pub struct Receiver {
    writer: ArtifactWriter,
    digest: Sha256,
    size: usize,
}

impl Receiver {
    pub fn open(state_dir: &Path) -> Result<Receiver, Problem> {
        Ok(Receiver { writer: ArtifactStore::open(state_dir)?.writer(LINES)?, digest: Sha256::new(), size: 0 })
    }

    /// # Errors
    /// 413 when the content is larger than [`LARGEST`]; the error of the disk.
    pub fn take(&mut self, bytes: &Bytes) -> Result<(), Problem> {
        self.size += bytes.len();
        if self.size > LARGEST {
            return Err(too_large());
        }
        self.digest.update(bytes);
        self.writer.write_all(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => no_space(),
            _ => Problem::internal("storing the file", &error),
        })
    }

    /// Publishes the content; durable on return. Returns the id of its file.
    ///
    /// # Errors
    /// When there is no content; the error of the disk.
    pub fn finish(self) -> Result<(String, ArtifactRef), Problem> {
        if self.size == 0 {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "empty_file", "the file is empty").about("file"));
        }
        let id = format!("file-{}", self.digest.finish());
        match self.writer.finish() {
            Ok(artifact) => Ok((id, artifact)),
            Err(error) => Err(unstored(error)),
        }
    }
}

/// Stores content that is in memory.
///
/// # Errors
/// Those of [`Receiver::finish`].
pub fn store_bytes(state_dir: &Path, bytes: Vec<u8>) -> Result<(String, ArtifactRef), Problem> {
    let mut receiver = Receiver::open(state_dir)?;
    receiver.take(&Bytes::from(bytes))?;
    receiver.finish()
}

fn unstored(error: ArtifactError) -> Problem {
    match error {
        ArtifactError::NoSpace { .. } => no_space(),
        error => Problem::internal("storing the file", &error),
    }
}

fn no_space() -> Problem {
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", "the disk of the server is full")
        .hint("`stepwell gc` removes what nothing refers to")
}

pub fn too_large() -> Problem {
    let detail = format!("a file has at most {} MiB", LARGEST >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).hint("split it into several batches").about("file")
}
