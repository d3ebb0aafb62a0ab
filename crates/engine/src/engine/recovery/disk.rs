//! When the disk is full: keep enough in reserve to write down that the run was interrupted.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use stepwell_artifact::HEADROOM_BYTES;
use stepwell_base::faults::around;

use crate::error::EngineError;

pub(crate) const RESERVE_FILE: &str = "reserve";
/// Several times what the last commits of an engine take.
pub(crate) const RESERVE_BYTES: usize = 1 << 20;
/// Waited for when nobody knows how much is needed.
const UNKNOWN_BYTES: u64 = 2 * HEADROOM_BYTES;

/// Fills the reserve. Its bytes are not zero, so that no file system saves them.
///
/// # Errors
/// When the disk is full already.
pub(crate) fn reserve(state_dir: &Path) -> Result<(), EngineError> {
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
pub(crate) fn release(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(RESERVE_FILE));
}

/// Free space from which on it makes sense to try again.
pub(crate) fn until_free(needed_bytes: Option<u64>) -> u64 {
    needed_bytes.unwrap_or(UNKNOWN_BYTES).saturating_add(RESERVE_BYTES as u64)
}
