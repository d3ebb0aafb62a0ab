//! Artifact store on a local file system: `artifacts/blobs/<first 2 hex digits>/<digest>`, read-only files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use stepwell_base::artifact::{ArtifactRef, Digest, TREE_MEDIA_TYPE};
use stepwell_base::faults::around;

use super::durable;
use super::error::ArtifactError;
use super::holds::{Holder, Holds};
use super::outside::open_regular;
use super::stamp::Stamp;
use super::tree::Tree;
use super::writer::ArtifactWriter;

const CHUNK: usize = 256 * 1024;
/// Content up to this length is verified even when only its start is wanted.
const SMALL_BYTES: u64 = 1024 * 1024;

/// A handle to the artifacts of one state directory. Clones share the record of verified files.
#[derive(Clone)]
pub struct ArtifactStore {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: PathBuf,
    temp: PathBuf,
    holds: Holds,
    /// State of each file at the time its content had the right digest.
    verified: Mutex<HashMap<Digest, Stamp>>,
    /// True for each shard folder whose own entry in `blobs` is known to be durable.
    shards: Mutex<[bool; 256]>,
}

impl ArtifactStore {
    /// Opens the store of a state directory and creates missing folders.
    pub fn open(state_dir: &Path) -> Result<Self, ArtifactError> {
        ArtifactStore::open_as(state_dir, &Holder::Process)
    }

    /// Like [`ArtifactStore::open`]; clean-ups leave alone what this handle publishes, as long as `holder` says.
    pub fn open_as(state_dir: &Path, holder: &Holder) -> Result<Self, ArtifactError> {
        let root = state_dir.join("artifacts");
        let inner = Inner {
            holds: Holds::new(&root, holder),
            blobs: root.join("blobs"),
            temp: root.join("tmp"),
            verified: Mutex::default(),
            shards: Mutex::new([false; 256]),
        };
        durable::create_dir(&inner.blobs)?;
        durable::create_dir(&inner.temp)?;
        Ok(ArtifactStore { inner: Arc::new(inner) })
    }

    /// Reads up to `most` bytes from the start of an artifact. Content of up to 1 MiB is verified; of larger
    /// content only the length is checked.
    ///
    /// # Errors
    /// Those of `verified_path`, and `Io`.
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

    /// Publishes bytes; durable on return. Intact content that already exists stays; damaged content is replaced.
    ///
    /// # Errors
    /// `NoSpace` or `Io`; half-written content is never visible.
    pub fn put_bytes(&self, bytes: &[u8], media_type: &str) -> Result<ArtifactRef, ArtifactError> {
        self.put_written(bytes.len() as u64, media_type, |writer| writer.write_all(bytes))
    }

    /// Publishes `size` bytes that `write` produces. Use it for content that is never in memory as a whole.
    ///
    /// # Errors
    /// Those of `put_bytes`, and of `write`.
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

    /// Publishes a copy of a file. Follows a link.
    ///
    /// # Errors
    /// Those of `put_bytes`; `Outside` when the file cannot be read or is not a regular file.
    pub fn put_file(&self, path: &Path, media_type: &str) -> Result<ArtifactRef, ArtifactError> {
        let mut writer = self.writer(media_type)?;
        let file = open_regular(path)?;
        writer.reserve(file.metadata().map_err(|source| ArtifactError::io("read", path, source))?.len())?;
        for_each_chunk_of(file, path, |chunk| {
            writer.write_all(chunk).map_err(|source| ArtifactError::io("write", writer.temp_path(), source))
        })?;
        writer.finish()
    }

    /// Writes a file of the state directory that is no artifact, or replaces it; durable on return, and never half there.
    ///
    /// # Errors
    /// `NoSpace` or `Io`.
    pub fn put_beside(&self, path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        durable::create_dir(folder)?;
        let mut writer = self.writer("")?;
        writer.write_all(bytes).map_err(|source| ArtifactError::io("write", writer.temp_path(), source))?;
        writer.finish_as(path, folder)
    }

    /// Creates a temporary file that becomes an artifact.
    pub fn writer(&self, media_type: &str) -> Result<ArtifactWriter, ArtifactError> {
        ArtifactWriter::create(self, media_type)
    }

    /// Publishes a manifest of artifacts that are already in the store.
    ///
    /// # Errors
    /// Those of `put_bytes`; `InvalidTree` for a path that is not relative and plain; `Missing` for an entry that
    /// is not in the store.
    pub fn put_tree(&self, entries: &BTreeMap<String, ArtifactRef>) -> Result<ArtifactRef, ArtifactError> {
        for artifact in entries.values() {
            let path = self.blob_path(&artifact.digest);
            self.stamp(&artifact.digest, &path)?;
        }
        let manifest = Tree { entries: entries.clone() }.encode()?;
        self.put_bytes(&manifest, TREE_MEDIA_TYPE)
    }

    /// Path of a digest's content, even when the content is not there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.shard_path(digest).join(digest.as_str())
    }

    /// Returns the path of the content after checking its digest. A file that this process has already checked,
    /// with unchanged inode, size and times, is not read again.
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

    /// Reads the whole content and checks the digest of exactly these bytes.
    ///
    /// # Errors
    /// Those of `verified_path`.
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

    /// Reads and verifies the manifest of a tree, but not the tree's entries.
    ///
    /// # Errors
    /// Those of `read`; `InvalidTree` when the artifact is not a tree.
    pub fn read_tree(&self, artifact: &ArtifactRef) -> Result<Tree, ArtifactError> {
        if !artifact.is_tree() {
            let reason = format!("artifact {} is `{}`, not a tree", artifact.digest, artifact.media_type);
            return Err(ArtifactError::InvalidTree { reason });
        }
        Tree::decode(&self.read(artifact)?)
    }

    /// Checks the content of an artifact; for a tree also of everything in it.
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

    /// Digests of an artifact; for a tree also of everything in it.
    ///
    /// # Errors
    /// Those of `read_tree`.
    pub fn blobs(&self, artifact: &ArtifactRef) -> Result<BTreeSet<Digest>, ArtifactError> {
        let mut digests = BTreeSet::from([artifact.digest.clone()]);
        if artifact.is_tree() {
            for entry in self.read_tree(artifact)?.entries.values() {
                digests.extend(self.blobs(entry)?);
            }
        }
        Ok(digests)
    }

    /// Removes content. The caller guarantees that nothing refers to it.
    ///
    /// # Errors
    /// When the file exists but cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let path = self.blob_path(digest);
        match around!("artifact.remove", fs::remove_file(&path)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ArtifactError::io("remove", &path, source)),
            _ => Ok(()),
        }
    }

    pub(super) fn holds(&self) -> &Holds {
        &self.inner.holds
    }

    pub(super) fn blobs_dir(&self) -> &Path {
        &self.inner.blobs
    }

    /// On the disk that holds the artifacts.
    pub(super) fn temp_dir(&self) -> &Path {
        &self.inner.temp
    }

    /// Gives a synced temporary file its final name, unless intact content already has it.
    pub(super) fn adopt(&self, temp: &Path, digest: &Digest, size: u64) -> Result<(), ArtifactError> {
        let _gate = self.inner.holds.note(digest)?;
        let shard = self.durable_shard(digest)?;
        let target = self.blob_path(digest);
        let intact = match fs::metadata(&target) {
            Ok(found) => found.len() == size && self.verify_blob(digest, &target).is_ok(),
            Err(_) => false,
        };
        if intact {
            // Another process may just have renamed the file without having synced the folder.
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

    /// Creates the shard folder of a digest if missing. Its entry in `blobs` is durable on return.
    fn durable_shard(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let shard = self.shard_path(digest);
        let index = usize::from_str_radix(&digest.as_str()[..2], 16).expect("a digest is hexadecimal");
        let mut known = self.inner.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if !known[index] {
            durable::create_dir(&shard)?;
            // The process that created the folder may not have synced its entry yet.
            durable::sync_dir(&self.inner.blobs)?;
            known[index] = true;
        }
        Ok(shard)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Stamp>> {
        self.inner.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
