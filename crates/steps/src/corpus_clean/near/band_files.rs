//! Signatures on disk: one file of keys per band, so that a decision reads one band at a time, and one file of whole
//! signatures, from which candidates are checked.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::signature::{BANDS, HASHES, Signature};
use crate::partial::{FileState, GrowingFile, ResumeError};

/// Key of documents without words, which are nobody's duplicates.
const NO_KEY: u64 = 0;
/// Bytes of a key.
const KEY: u64 = 8;

pub struct BandFiles {
    folder: PathBuf,
    /// One file per band, then that of the signatures.
    files: Vec<GrowingFile>,
    documents: u64,
}

impl BandFiles {
    /// Creates empty files in `folder`.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let files = names().map(|name| GrowingFile::create(&folder.join(name))).collect::<io::Result<_>>()?;
        Ok(BandFiles { folder: folder.to_owned(), files, documents: 0 })
    }

    /// Continues files that held the signatures of `documents`.
    ///
    /// # Errors
    /// When one is shorter, or damaged.
    pub fn resume(folder: &Path, documents: u64, states: &[FileState]) -> Result<Self, ResumeError> {
        let files: Vec<GrowingFile> = names()
            .zip(states)
            .map(|(name, state)| GrowingFile::resume(&folder.join(name), state))
            .collect::<Result<_, _>>()?;
        let lengths = std::iter::repeat_n(KEY, BANDS).chain([HASHES as u64 * 4]).map(|bytes| bytes * documents);
        if !files.iter().map(GrowingFile::bytes).eq(lengths) {
            return Err(ResumeError::Damaged);
        }
        Ok(BandFiles { folder: folder.to_owned(), files, documents })
    }

    /// Makes everything durable that was added.
    pub fn sync(&mut self) -> io::Result<Vec<FileState>> {
        self.files.iter_mut().map(GrowingFile::sync).collect()
    }

    /// Appends the signature of the next document.
    pub fn add(&mut self, signature: Option<&Signature>) -> io::Result<()> {
        for (band, file) in self.files[..BANDS].iter_mut().enumerate() {
            let key = signature.map_or(NO_KEY, |signature| signature.band(band).max(1));
            file.append(&key.to_le_bytes())?;
        }
        let mut bytes = [0; HASHES * 4];
        if let Some(Signature(hashes)) = signature {
            for (bytes, hash) in bytes.chunks_exact_mut(4).zip(hashes) {
                bytes.copy_from_slice(&hash.to_le_bytes());
            }
        }
        self.files[BANDS].append(&bytes)?;
        self.documents += 1;
        Ok(())
    }

    /// Ends writing.
    pub fn finish(mut self) -> io::Result<Written> {
        self.sync()?;
        let signatures = File::open(self.folder.join(SIGNATURES))?;
        Ok(Written { folder: self.folder, signatures, documents: self.documents })
    }
}

/// Complete files.
pub struct Written {
    folder: PathBuf,
    signatures: File,
    pub documents: u64,
}

impl Written {
    /// Calls `found` with the key and number of every document that has words.
    pub fn keys(&self, band: usize, mut found: impl FnMut(u64, u32)) -> io::Result<()> {
        let mut file = BufReader::with_capacity(1 << 18, File::open(self.folder.join(band_name(band)))?);
        let mut bytes = [0; 8];
        for document in 0..self.documents {
            file.read_exact(&mut bytes)?;
            let key = u64::from_le_bytes(bytes);
            if key != NO_KEY {
                found(key, document as u32);
            }
        }
        Ok(())
    }

    pub fn signature(&self, document: u32) -> io::Result<Signature> {
        let mut bytes = [0; HASHES * 4];
        self.signatures.read_exact_at(&mut bytes, u64::from(document) * (HASHES as u64 * 4))?;
        let mut hashes = [0; HASHES];
        for (hash, bytes) in hashes.iter_mut().zip(bytes.chunks_exact(4)) {
            *hash = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Ok(Signature(hashes))
    }

    /// Removes the files, which are large.
    pub fn remove(self) {
        for name in names() {
            // The scratch directory is removed with the step anyway.
            let _ = std::fs::remove_file(self.folder.join(name));
        }
    }
}

const SIGNATURES: &str = "signatures";

/// Names of the files: bands, then signatures.
fn names() -> impl Iterator<Item = String> {
    (0..BANDS).map(band_name).chain([SIGNATURES.to_owned()])
}

fn band_name(band: usize) -> String {
    format!("band-{band:02}")
}
