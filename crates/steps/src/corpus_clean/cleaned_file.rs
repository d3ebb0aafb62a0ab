//! The cleaned documents in the scratch directory, between two passes: lengths, id and text of each, so that a later
//! pass parses nothing.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pipeline::{BATCH_BYTES, Batch};
use crate::corpus_documents::Document;
use crate::partial::{FileState, GrowingFile, ResumeError};

/// Bytes of the two lengths before a document.
const LENGTHS: u64 = 12;

pub struct CleanedWriter {
    out: GrowingFile,
    pub cleaned: CleanedFile,
}

/// A complete file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CleanedFile {
    path: PathBuf,
    pub documents: u64,
    pub text_bytes: u64,
    pub file_bytes: u64,
}

impl CleanedWriter {
    pub fn create(path: &Path) -> io::Result<Self> {
        let cleaned = CleanedFile { path: path.to_owned(), ..CleanedFile::default() };
        Ok(CleanedWriter { out: GrowingFile::create(path)?, cleaned })
    }

    /// Continues a file that held `cleaned`.
    ///
    /// # Errors
    /// When it is shorter, or damaged.
    pub fn resume(cleaned: CleanedFile, state: &FileState) -> Result<Self, ResumeError> {
        Ok(CleanedWriter { out: GrowingFile::resume(&cleaned.path, state)?, cleaned })
    }

    /// Makes everything durable that was added.
    pub fn sync(&mut self) -> io::Result<FileState> {
        self.out.sync()
    }

    pub fn add(&mut self, document: &Document) -> io::Result<()> {
        let (id, text) = (document.id.as_bytes(), document.text.as_bytes());
        self.out.append(&(id.len() as u32).to_le_bytes())?;
        self.out.append(&(text.len() as u64).to_le_bytes())?;
        self.out.append(id)?;
        self.out.append(text)?;
        self.cleaned.documents += 1;
        self.cleaned.text_bytes += text.len() as u64;
        self.cleaned.file_bytes += LENGTHS + (id.len() + text.len()) as u64;
        Ok(())
    }
}

/// A document with its number in the file, and the bytes of text before it among those that are read.
pub struct Entry {
    pub number: u32,
    pub start: u64,
    pub document: Document,
}

impl CleanedFile {
    /// Reads the documents whose number `wanted` accepts.
    pub fn read<F: FnMut(u32) -> bool>(&self, wanted: F) -> io::Result<CleanedReader<F>> {
        let file = BufReader::with_capacity(1 << 18, File::open(&self.path)?);
        Ok(CleanedReader { file, left: self.documents, next: 0, start: 0, done: 0, wanted })
    }

    /// Frees space early: the scratch directory is removed with the step anyway.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub struct CleanedReader<F> {
    file: BufReader<File>,
    left: u64,
    next: u32,
    start: u64,
    done: u64,
    wanted: F,
}

impl<F: FnMut(u32) -> bool> CleanedReader<F> {
    pub fn next_batch(&mut self) -> io::Result<Batch<Entry>> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && self.left > 0 {
            let (mut id, mut text) = ([0; 4], [0; 8]);
            self.file.read_exact(&mut id)?;
            self.file.read_exact(&mut text)?;
            let (id, text) = (u32::from_le_bytes(id) as usize, u64::from_le_bytes(text) as usize);
            self.left -= 1;
            self.done += LENGTHS + (id + text) as u64;
            let number = self.next;
            self.next += 1;
            if !(self.wanted)(number) {
                self.file.seek_relative((id + text) as i64)?;
                continue;
            }
            let (id, text) = (self.string(id)?, self.string(text)?);
            // The extra byte limits a batch of empty documents.
            bytes += text.len() + id.len() + 1;
            let start = self.start;
            self.start += text.len() as u64;
            items.push(Entry { number, start, document: Document { id, text } });
        }
        Ok(Batch { items, done: self.done })
    }

    fn string(&mut self, length: usize) -> io::Result<String> {
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
