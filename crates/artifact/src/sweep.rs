//! Lists everything in the store, referenced or not.

use std::fs;
use std::path::{Path, PathBuf};

use stepwell_base::artifact::Digest;

use super::error::ArtifactError;
use super::local::ArtifactStore;

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

    /// Temporary files that writers have not published, with their sizes in bytes.
    pub fn unpublished(&self) -> Result<Vec<(PathBuf, u64)>, ArtifactError> {
        let files = entries(self.temp_dir())?;
        Ok(files.into_iter().filter_map(|path| path.metadata().ok().map(|found| (path, found.len()))).collect())
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
