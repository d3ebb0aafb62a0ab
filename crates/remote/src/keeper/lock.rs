//! One process at a time works on a machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::RemoteError;
use crate::plan::Key;

/// Held until it is dropped, or until this process has died *and* every program that it started for the provider has ended:
/// a call that is under way keeps others from looking for its result too early.
#[derive(Debug)]
pub struct MachineLock {
    _file: File,
}

impl MachineLock {
    /// Takes the lock of a machine; its file is in `folder`.
    ///
    /// # Errors
    /// `Busy`, `Lock`.
    pub fn take(folder: &Path, key: &Key) -> Result<MachineLock, RemoteError> {
        let path = folder.join(format!("{key}.lock"));
        let failed = |path: PathBuf| move |source| RemoteError::Lock { path, source };
        fs::create_dir_all(folder).map_err(failed(folder.to_owned()))?;
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(failed(path.clone()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RemoteError::Busy(key.clone())),
            Err(TryLockError::Error(source)) => return Err(RemoteError::Lock { path, source }),
        }
        // Programs inherit the file, and with it the lock.
        fcntl_setfd(&file, FdFlags::empty()).map_err(|source| RemoteError::Lock { path, source: source.into() })?;
        Ok(MachineLock { _file: file })
    }
}
