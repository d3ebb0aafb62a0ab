//! Reserves disk space, so that an engine on a full disk can still record the interruption.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use stepwell_artifact::HEADROOM_BYTES;
use stepwell_base::faults::around;

use crate::error::EngineError;

pub(crate) const RESERVE_FILE: &str = "reserve";
/// Several times the size of an engine's last commits.
pub(crate) const RESERVE_BYTES: usize = 1 << 20;
/// Free space to wait for when the required amount is unknown.
const UNKNOWN_BYTES: u64 = 2 * HEADROOM_BYTES;

/// Fills the reserve. Its bytes are not zero, so every file system allocates space for them.
///
/// # Errors
/// When the disk is already full.
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
        // Half a reserve only occupies space that other writes need.
        release(state_dir);
        EngineError::Io { action: "write", path: path.clone(), source }
    })
}

/// Deletes the reserve to free its space.
pub(crate) fn release(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(RESERVE_FILE));
}

/// Free bytes at which a retry makes sense.
pub(crate) fn until_free(needed_bytes: Option<u64>) -> u64 {
    needed_bytes.unwrap_or(UNKNOWN_BYTES).saturating_add(RESERVE_BYTES as u64)
}
