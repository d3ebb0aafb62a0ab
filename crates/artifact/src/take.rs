//! Moves a file of the same file system into the store.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stepwell_base::artifact::{ArtifactRef, Digest};

use super::error::ArtifactError;
use super::local::ArtifactStore;

impl ArtifactStore {
    /// Publishes a file by giving it its name in the store, without copying it. The caller has hashed everything that it
    /// wrote; `path` is gone afterwards.
    ///
    /// # Errors
    /// When the file has another length, or cannot be synced or renamed.
    pub fn take_file(
        &self,
        path: &Path,
        digest: Digest,
        size: u64,
        media_type: &str,
    ) -> Result<ArtifactRef, ArtifactError> {
        let failed = |source| ArtifactError::io("write", path, source);
        let file = File::open(path).map_err(failed)?;
        let actual = file.metadata().map_err(failed)?.len();
        if actual != size {
            let what = format!("{actual} bytes in place of {size}: something else wrote to it");
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        file.set_permissions(Permissions::from_mode(0o444)).map_err(failed)?;
        // No failpoint: the rename after it has one, and nothing refers to the file before that.
        file.sync_all().map_err(failed)?;
        self.adopt(path, &digest, size)?;
        // Still there if the store had the same content before.
        let _ = fs::remove_file(path);
        Ok(ArtifactRef { digest, size, media_type: media_type.to_owned() })
    }
}
