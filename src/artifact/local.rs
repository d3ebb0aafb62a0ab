//! The store on a local file system: `artifacts/blobs/<first 2 hex digits>/<digest>`, read-only files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::core::artifact::{ArtifactRef, Digest, TREE_MEDIA_TYPE};
use crate::faults::around;

use super::durable;
use super::error::ArtifactError;
use super::outside::open_regular;
use super::stamp::Stamp;
use super::tree::Tree;
use super::writer::ArtifactWriter;

const CHUNK: usize = 256 * 1024;
/// Content up to this length is verified even when only its start is wanted.
const SMALL_BYTES: u64 = 1024 * 1024;

/// A handle to the artifacts of one state directory; clones share what was verified.
#[derive(Clone)]
pub struct ArtifactStore {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: PathBuf,
    temp: PathBuf,
    /// Files whose content had the right digest, as they looked then.
    verified: Mutex<HashMap<Digest, Stamp>>,
    /// Shard folders whose own entry is known to be durable.
    shards: Mutex<[bool; 256]>,
}

impl ArtifactStore {
    /// Opens the store of a state directory and creates its folders where they are missing.
    ///
    /// # Errors
    /// When the folders cannot be created.
    pub fn open(state_dir: &Path) -> Result<Self, ArtifactError> {
        let root = state_dir.join("artifacts");
        let inner = Inner {
            blobs: root.join("blobs"),
            temp: root.join("tmp"),
            verified: Mutex::default(),
            shards: Mutex::new([false; 256]),
        };
        durable::create_dir(&inner.blobs)?;
        durable::create_dir(&inner.temp)?;
        Ok(ArtifactStore { inner: Arc::new(inner) })
    }

    /// The first bytes of an artifact. Small content is verified; for larger content only the length is checked.
    ///
    /// # Errors
    /// The errors of `verified_path`, and `Io`.
    pub fn read_start(&self, artifact: &ArtifactRef, most: u64) -> Result<Vec<u8>, ArtifactError> {
        let path = self.blob_path(&artifact.digest);
        let actual = self.stamp(&artifact.digest, &path)?.size;
        if actual <= SMALL_BYTES {
            self.verified_path(artifact)?;
        } else if actual != artifact.size {
            let (digest, expected) = (artifact.digest.clone(), artifact.size);
            return Err(ArtifactError::WrongSize { digest, path, expected, actual });
        }
        let mut start = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(most).read_to_end(&mut start));
        read.map_err(|source| self.read_error(&artifact.digest, &path, source))?;
        Ok(start)
    }

    /// Publishes bytes; durable on return. Content that is there already is kept, and replaced when it
    /// is damaged.
    ///
    /// # Errors
    /// `NoSpace` or `Io`; nothing half-written is ever visible.
    pub fn put_bytes(&self, bytes: &[u8], media_type: &str) -> Result<ArtifactRef, ArtifactError> {
        self.put_written(bytes.len() as u64, media_type, |writer| writer.write_all(bytes))
    }

    /// Publishes `size` bytes that `write` makes; for content that is never in memory as a whole.
    ///
    /// # Errors
    /// As `put_bytes`, and what `write` returns.
    pub fn put_written(
        &self,
        size: u64,
        media_type: &str,
        write: impl FnOnce(&mut ArtifactWriter) -> io::Result<()>,
    ) -> Result<ArtifactRef, ArtifactError> {
        let mut writer = self.writer(media_type)?;
        writer.reserve(size)?;
        write(&mut writer).map_err(|source| ArtifactError::io("write", writer.temp_path(), source))?;
        writer.finish()
    }

    /// Publishes a copy of a file; a link is followed.
    ///
    /// # Errors
    /// The errors of `put_bytes`, and `Outside` when the file cannot be read or is not a regular file.
    pub fn put_file(&self, path: &Path, media_type: &str) -> Result<ArtifactRef, ArtifactError> {
        let mut writer = self.writer(media_type)?;
        let file = open_regular(path)?;
        writer.reserve(file.metadata().map_err(|source| ArtifactError::io("read", path, source))?.len())?;
        for_each_chunk_of(file, path, |chunk| {
            writer.write_all(chunk).map_err(|source| ArtifactError::io("write", writer.temp_path(), source))
        })?;
        writer.finish()
    }

    /// # Errors
    /// When the temporary file cannot be created.
    pub fn writer(&self, media_type: &str) -> Result<ArtifactWriter, ArtifactError> {
        ArtifactWriter::create(self, media_type)
    }

    /// Publishes a manifest of artifacts, which must have been put before.
    ///
    /// # Errors
    /// As `put_bytes`; `InvalidTree` for a path that is not relative and plain, `Missing` for an
    /// entry that is not in the store.
    pub fn put_tree(&self, entries: &BTreeMap<String, ArtifactRef>) -> Result<ArtifactRef, ArtifactError> {
        for artifact in entries.values() {
            let path = self.blob_path(&artifact.digest);
            self.stamp(&artifact.digest, &path)?;
        }
        let manifest = Tree { entries: entries.clone() }.encode()?;
        self.put_bytes(&manifest, TREE_MEDIA_TYPE)
    }

    /// Where the content of a digest is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.shard_path(digest).join(digest.as_str())
    }

    /// The path of the content, after its digest was checked. A file that was checked in this process
    /// and looks the same (inode, size, times) is not read again.
    ///
    /// # Errors
    /// `Missing`, `Damaged` or `WrongSize`.
    pub fn verified_path(&self, artifact: &ArtifactRef) -> Result<PathBuf, ArtifactError> {
        let path = self.blob_path(&artifact.digest);
        self.verify_blob(&artifact.digest, &path)?;
        let actual = self.stamp(&artifact.digest, &path)?.size;
        if actual != artifact.size {
            let (digest, expected) = (artifact.digest.clone(), artifact.size);
            return Err(ArtifactError::WrongSize { digest, path, expected, actual });
        }
        Ok(path)
    }

    /// The whole content; the digest is that of the bytes returned.
    ///
    /// # Errors
    /// As `verified_path`.
    pub fn read(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        let path = self.blob_path(&artifact.digest);
        let bytes = fs::read(&path).map_err(|source| self.read_error(&artifact.digest, &path, source))?;
        let actual = Digest::of(&bytes);
        if actual != artifact.digest {
            return Err(ArtifactError::Damaged { digest: artifact.digest.clone(), path, actual });
        }
        if bytes.len() as u64 != artifact.size {
            let (digest, expected) = (artifact.digest.clone(), artifact.size);
            return Err(ArtifactError::WrongSize { digest, path, expected, actual: bytes.len() as u64 });
        }
        Ok(bytes)
    }

    /// The manifest of a tree, verified; its entries are not.
    ///
    /// # Errors
    /// As `read`; `InvalidTree` when the artifact is not a tree.
    pub fn read_tree(&self, artifact: &ArtifactRef) -> Result<Tree, ArtifactError> {
        if !artifact.is_tree() {
            let reason = format!("artifact {} is `{}`, not a tree", artifact.digest, artifact.media_type);
            return Err(ArtifactError::InvalidTree { reason });
        }
        Tree::decode(&self.read(artifact)?)
    }

    /// Checks the content of an artifact, and of everything in it when it is a tree.
    ///
    /// # Errors
    /// The first problem found.
    pub fn verify(&self, artifact: &ArtifactRef) -> Result<(), ArtifactError> {
        self.verified_path(artifact)?;
        if artifact.is_tree() {
            for entry in self.read_tree(artifact)?.entries.values() {
                self.verify(entry)?;
            }
        }
        Ok(())
    }

    /// The digests of an artifact and of everything in it when it is a tree.
    ///
    /// # Errors
    /// As `read_tree`.
    pub fn blobs(&self, artifact: &ArtifactRef) -> Result<BTreeSet<Digest>, ArtifactError> {
        let mut digests = BTreeSet::from([artifact.digest.clone()]);
        if artifact.is_tree() {
            for entry in self.read_tree(artifact)?.entries.values() {
                digests.extend(self.blobs(entry)?);
            }
        }
        Ok(digests)
    }

    /// Removes content that nothing refers to any more; the caller has made sure of that.
    ///
    /// # Errors
    /// When the file is there but cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let path = self.blob_path(digest);
        match around!("artifact.remove", fs::remove_file(&path)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ArtifactError::io("remove", &path, source)),
            _ => Ok(()),
        }
    }

    /// Removes what interrupted writers left and returns how many files that were. For the engine at
    /// its start: nobody else may be writing.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not removed.
    pub fn clean_temp(&self) -> Result<usize, ArtifactError> {
        let temp = &self.inner.temp;
        let failed = |source| ArtifactError::io("clean", temp, source);
        let mut removed = 0;
        for entry in fs::read_dir(temp).map_err(failed)? {
            let left_over = entry.map_err(failed)?.path();
            match around!("artifact.clean", fs::remove_file(&left_over)) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(removed)
    }

    pub(super) fn blobs_dir(&self) -> &Path {
        &self.inner.blobs
    }

    /// On the disk that artifacts are written to.
    pub(super) fn temp_dir(&self) -> &Path {
        &self.inner.temp
    }

    pub(super) fn new_temp_path(&self) -> PathBuf {
        self.inner.temp.join(Uuid::now_v7().to_string())
    }

    /// Gives a synced temporary file its final name, unless intact content is there already.
    pub(super) fn adopt(&self, temp: &Path, digest: &Digest, size: u64) -> Result<(), ArtifactError> {
        let shard = self.durable_shard(digest)?;
        let target = self.blob_path(digest);
        let intact = match fs::metadata(&target) {
            Ok(found) => found.len() == size && self.verify_blob(digest, &target).is_ok(),
            Err(_) => false,
        };
        if intact {
            // Another process may have renamed it a moment ago and not yet synced the folder.
            return durable::sync_dir(&shard);
        }
        durable::publish(temp, &target, &shard)?;
        let stamp = self.stamp(digest, &target)?;
        self.verified().insert(digest.clone(), stamp);
        Ok(())
    }

    pub(super) fn verify_blob(&self, digest: &Digest, path: &Path) -> Result<(), ArtifactError> {
        let before = self.stamp(digest, path)?;
        if self.verified().get(digest) == Some(&before) {
            return Ok(());
        }
        let mut hasher = blake3::Hasher::new();
        for_each_chunk(path, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        let actual = Digest::from(hasher.finalize());
        if actual != *digest {
            self.verified().remove(digest);
            return Err(ArtifactError::Damaged { digest: digest.clone(), path: path.to_owned(), actual });
        }
        self.verified().insert(digest.clone(), before);
        Ok(())
    }

    /// The error for a blob that cannot be opened.
    pub(super) fn read_error(&self, digest: &Digest, path: &Path, source: io::Error) -> ArtifactError {
        match source.kind() {
            io::ErrorKind::NotFound => ArtifactError::Missing { digest: digest.clone(), path: path.to_owned() },
            _ => ArtifactError::io("read", path, source),
        }
    }

    fn stamp(&self, digest: &Digest, path: &Path) -> Result<Stamp, ArtifactError> {
        let metadata = fs::metadata(path).map_err(|source| self.read_error(digest, path, source))?;
        Ok(Stamp::of(&metadata))
    }

    fn shard_path(&self, digest: &Digest) -> PathBuf {
        self.inner.blobs.join(&digest.as_str()[..2])
    }

    /// The shard folder of a digest, created if need be; its entry in `blobs` is durable.
    fn durable_shard(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let shard = self.shard_path(digest);
        let index = usize::from_str_radix(&digest.as_str()[..2], 16).expect("a digest is hexadecimal");
        let mut known = self.inner.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if !known[index] {
            durable::create_dir(&shard)?;
            // It may be new and not yet synced by the process that created it.
            durable::sync_dir(&self.inner.blobs)?;
            known[index] = true;
        }
        Ok(shard)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Stamp>> {
        self.inner.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Feeds a file to `consume`, piece by piece.
pub(super) fn for_each_chunk(
    path: &Path,
    consume: impl FnMut(&[u8]) -> Result<(), ArtifactError>,
) -> Result<(), ArtifactError> {
    let file = File::open(path).map_err(|source| ArtifactError::io("read", path, source))?;
    for_each_chunk_of(file, path, consume)
}

fn for_each_chunk_of(
    mut file: File,
    path: &Path,
    mut consume: impl FnMut(&[u8]) -> Result<(), ArtifactError>,
) -> Result<(), ArtifactError> {
    let failed = |source| ArtifactError::io("read", path, source);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => consume(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(failed(source)),
        }
    }
}
