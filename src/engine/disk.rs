//! When the disk is full: keep enough in reserve to write down that the run was interrupted.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::core::failure::{Failure, FailureKind};
use crate::faults::around;

use super::error::EngineError;

const RESERVE_FILE: &str = "reserve";
/// Several times what the last commits of an engine take.
const RESERVE_BYTES: usize = 1 << 20;

/// Fills the reserve. Its bytes are not zero, so that no file system saves them.
///
/// # Errors
/// When the disk is full already.
pub(super) fn reserve(state_dir: &Path) -> Result<(), EngineError> {
    let path = state_dir.join(RESERVE_FILE);
    if path.metadata().is_ok_and(|metadata| metadata.len() == RESERVE_BYTES as u64) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        let mut bytes = vec![0; RESERVE_BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        around!("engine.reserve.write", file.write_all(&bytes))?;
        around!("engine.reserve.fsync", file.sync_all())
    };
    write().map_err(|source| {
        // Half a reserve would only take the space that is needed.
        release(state_dir);
        EngineError::Io { action: "write", path: path.clone(), source }
    })
}

/// Gives the reserve back to the disk.
pub(super) fn release(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(RESERVE_FILE));
}

/// Whether an attempt failed for lack of space. Failures are text by the time they get here, and every
/// layer below, also a user's program, uses the words of the operating system.
pub(super) fn tells_of_a_full_disk(failure: &Failure) -> bool {
    let said = failure.message.to_lowercase();
    failure.kind == FailureKind::Retryable
        && ["no space left", "disk quota exceeded"].iter().any(|words| said.contains(words))
}
