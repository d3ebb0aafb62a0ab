//! Lists everything in the store, referenced or not, and removes what nobody needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stepwell_base::artifact::Digest;

use super::error::ArtifactError;
use super::holds::{Attempts, Held};
use super::local::ArtifactStore;
use super::temp;

impl ArtifactStore {
    /// Every digest with its size in bytes. Files with names of another form are foreign and left out.
    pub fn stored(&self) -> Result<Vec<(Digest, u64)>, ArtifactError> {
        let mut found = Vec::new();
        for shard in entries(self.blobs_dir())?.into_iter().filter(|path| path.is_dir()) {
            for file in entries(&shard)? {
                let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                if let (Some(digest), Ok(metadata)) = (name, file.metadata()) {
                    found.push((digest, metadata.len()));
                }
            }
        }
        Ok(found)
    }

    /// Temporary files that their writers did not publish before they ended, with their sizes in bytes.
    pub fn unpublished(&self) -> Result<Vec<(PathBuf, u64)>, ArtifactError> {
        self.for_each_temp(temp::abandoned)
    }

    /// Removes what interrupted writers left behind, and returns it. Files of writers that live stay, in whatever process these are.
    ///
    /// # Errors
    /// When the folder cannot be read or a file cannot be removed.
    pub fn clean_temp(&self) -> Result<Vec<(PathBuf, u64)>, ArtifactError> {
        self.for_each_temp(temp::remove_abandoned)
    }

    fn for_each_temp(
        &self,
        size_of: impl Fn(&Path) -> io::Result<Option<u64>>,
    ) -> Result<Vec<(PathBuf, u64)>, ArtifactError> {
        let mut found = Vec::new();
        for path in entries(self.temp_dir())? {
            match size_of(&path) {
                Ok(size) => found.extend(size.map(|size| (path, size))),
                Err(source) => return Err(ArtifactError::io("clean", &path, source)),
            }
        }
        Ok(found)
    }

    /// Content that processes have published and that no row may refer to yet. To find unused content while processes
    /// publish: list candidates, read this, then read the rows; remove the rest with
    /// [`ArtifactStore::remove_unless_held`].
    pub fn held(&self) -> Result<Held, ArtifactError> {
        self.holds().held()
    }

    /// Removes content that no process has published since `held` was read, and returns its digests.
    /// Publishers wait meanwhile, so pass few digests.
    ///
    /// # Errors
    /// When a file exists but cannot be removed.
    pub fn remove_unless_held(&self, digests: &[Digest], held: &mut Held) -> Result<Vec<Digest>, ArtifactError> {
        let _gate = self.holds().close(held)?;
        let free = digests.iter().filter(|digest| !held.contains(digest));
        free.map(|digest| self.remove(digest).map(|()| digest.clone())).collect()
    }

    /// Forgets what an attempt has published: rows refer to it, or nothing ever will.
    pub fn release(&self, attempt: &str) {
        self.holds().release(attempt);
    }

    /// Forgets publications that no longer count.
    pub fn forget_holds(&self, attempts: Attempts) -> Result<(), ArtifactError> {
        self.holds().forget(attempts)
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ArtifactError> {
    let failed = |source| ArtifactError::io("read the folder", folder, source);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}
