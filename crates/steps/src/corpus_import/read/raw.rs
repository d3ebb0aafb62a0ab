//! Counts and hashes the stored bytes of a file as they are read, so that the digest covers the content used.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::corpus_import::source::unreadable;
use stepwell_base::failure::Failure;

const BUFFER: usize = 1 << 17;

#[derive(Default)]
pub struct Tally {
    consumed: AtomicU64,
    hasher: Mutex<blake3::Hasher>,
}

impl Tally {
    /// File offset after the last byte used.
    pub fn offset(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Digest of all bytes read so far; at the end, the digest of the file.
    pub fn digest(&self) -> blake3::Hash {
        self.hasher().finalize()
    }

    fn hasher(&self) -> MutexGuard<'_, blake3::Hasher> {
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a file's stored bytes.
pub struct Raw {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    tally: Arc<Tally>,
}

impl Raw {
    /// # Errors
    /// When the file cannot be opened or is no regular file.
    pub fn open(path: &Path) -> Result<(Self, Arc<Tally>), Failure> {
        let file = open_regular(path)?;
        let tally = Arc::new(Tally::default());
        let raw = Raw { file, buffer: vec![0; BUFFER], at: 0, end: 0, tally: Arc::clone(&tally) };
        Ok((raw, tally))
    }
}

impl BufRead for Raw {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.end {
            match self.file.read(&mut self.buffer) {
                Ok(read) => {
                    (self.at, self.end) = (0, read);
                    self.tally.hasher().update(&self.buffer[..read]);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.at..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
        self.tally.consumed.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

/// A file can become a pipe after it was checked, so opening must not wait for the other end.
pub fn open_regular(path: &Path) -> Result<File, Failure> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let file = file.map_err(|error| unreadable(path, &error))?;
    if file.metadata().map_err(|error| unreadable(path, &error))?.is_file() {
        return Ok(file);
    }
    Err(Failure::fatal(format!("corpus source {} is no regular file any more", path.display()))
        .with_hint("name a regular file, a folder or a glob"))
}

/// Computes the BLAKE3 digest of a file's stored bytes.
pub fn digest(path: &Path) -> Result<blake3::Hash, Failure> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open_regular(path)?).map_err(|error| unreadable(path, &error))?;
    Ok(hasher.finalize())
}
