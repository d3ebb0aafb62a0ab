//! Documents that one step hands to another: one JSON object `{"id", "text"}` per line, in one file or in a tree of
//! shards.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::handler::{StepContext, StepError};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Media type of a file of documents.
pub const NDJSON: &str = "application/x-ndjson";

/// One document. `id` is `<source>:<number>`, only for people: no code depends on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    pub id: String,
    pub text: String,
}

/// Appends one document as one line and returns the line's length in bytes.
pub fn write_document(out: &mut impl Write, document: &Document) -> io::Result<u64> {
    write_line(out, document)
}

/// Appends one document as one line.
pub fn append_document(out: &mut Vec<u8>, id: &str, text: &str) -> io::Result<()> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        id: &'a str,
        text: &'a str,
    }
    serde_json::to_writer(&mut *out, &Borrowed { id, text })?;
    out.push(b'\n');
    Ok(())
}

/// Appends one value as one line of JSON and returns the line's length in bytes.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<u64> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)?;
    Ok(line.len() as u64)
}

/// Verified files of a document artifact in reading order: the artifact itself, or the entries of a tree by name.
/// `shard` selects one entry of the tree.
///
/// # Errors
/// When content is missing or damaged, or the shard does not exist.
pub fn document_files(
    artifacts: &ArtifactStore,
    documents: &ArtifactRef,
    shard: Option<usize>,
) -> Result<Vec<PathBuf>, Failure> {
    if !documents.is_tree() {
        return match shard {
            None | Some(0) => Ok(vec![artifacts.verified_path(documents)?]),
            Some(shard) => Err(no_such_shard(shard, 1)),
        };
    }
    let tree = artifacts.read_tree(documents)?;
    let entries: Vec<&ArtifactRef> = tree.entries.values().collect();
    let chosen = match shard {
        None => entries,
        Some(shard) => vec![*entries.get(shard).ok_or_else(|| no_such_shard(shard, entries.len()))?],
    };
    chosen.into_iter().map(|entry| Ok(artifacts.verified_path(entry)?)).collect()
}

fn no_such_shard(shard: usize, count: usize) -> Failure {
    Failure::fatal(format!("there is no shard {shard}: the documents have {count} shards, numbered from 0"))
        .with_hint("use `for_each` over the number of shards that `corpus.clean` reports")
}

/// A line that is a document, not yet parsed.
pub struct Line {
    bytes: Vec<u8>,
    path: Arc<Path>,
    number: u64,
}

impl Line {
    /// # Errors
    /// When the line is not a document.
    pub fn parse(&self) -> Result<Document, Failure> {
        serde_json::from_slice(&self.bytes).map_err(|error| invalid(&self.path, self.number, &error))
    }
}

/// Reads documents from a list of files, with one line in memory.
pub struct DocumentReader {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<(Arc<Path>, BufReader<File>)>,
    line: Vec<u8>,
    number: u64,
    bytes_read: u64,
}

impl DocumentReader {
    pub fn new(files: Vec<PathBuf>) -> Self {
        DocumentReader { files: files.into_iter(), current: None, line: Vec::new(), number: 0, bytes_read: 0 }
    }

    /// Total length of the lines read so far in bytes, over all files.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Returns the next document, or `None` after the last one.
    ///
    /// # Errors
    /// When a file cannot be read or a line is not a document.
    pub fn next_document(&mut self) -> Result<Option<Document>, Failure> {
        if !self.next_line()? {
            return Ok(None);
        }
        let parsed = serde_json::from_slice(&self.line);
        parsed.map(Some).map_err(|error| invalid(&self.path(), self.number, &error))
    }

    /// Returns the next lines, about `bytes` of them; an empty list at the end.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next_batch(&mut self, bytes: usize) -> Result<Vec<Line>, Failure> {
        let (mut lines, mut taken) = (Vec::new(), 0);
        while taken < bytes && self.next_line()? {
            taken += self.line.len();
            lines.push(Line { bytes: self.line.clone(), path: self.path(), number: self.number });
        }
        Ok(lines)
    }

    fn path(&self) -> Arc<Path> {
        self.current.as_ref().map_or_else(|| Arc::from(Path::new("")), |(path, _)| Arc::clone(path))
    }

    /// Reports progress out of `total` bytes while it reads: "cleaning", for example.
    pub fn reporting<'c, 'a>(
        self,
        context: &'c mut StepContext<'a>,
        total: u64,
        message: &'static str,
    ) -> ReportingReader<'c, 'a> {
        ReportingReader { reader: self, context, total, message, reported: 0 }
    }

    /// Skips `count` documents without parsing them.
    pub fn skip_documents(&mut self, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            if !self.next_line()? {
                break;
            }
        }
        Ok(())
    }

    fn next_line(&mut self) -> Result<bool, Failure> {
        loop {
            if self.current.is_none() {
                let Some(path) = self.files.next() else { return Ok(false) };
                let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
                self.current = Some((Arc::from(path), BufReader::with_capacity(1 << 18, file)));
                self.number = 0;
            }
            let Some((path, reader)) = &mut self.current else { continue };
            self.line.clear();
            let read = reader.read_until(b'\n', &mut self.line).map_err(|error| unreadable(path, &error))?;
            if read == 0 {
                self.current = None;
                continue;
            }
            self.number += 1;
            self.bytes_read += read as u64;
            return Ok(true);
        }
    }
}

fn invalid(path: &Path, number: u64, error: &serde_json::Error) -> Failure {
    Failure::fatal(format!("{}:{number}: not a document: {error}", path.display())).with_hint(
        "documents are lines of JSON such as {\"id\": \"a:0\", \"text\": \"...\"}; `corpus.import` writes them",
    )
}

/// Reads documents, reports progress once per MiB, and stops when the engine asks for it.
pub struct ReportingReader<'c, 'a> {
    reader: DocumentReader,
    context: &'c mut StepContext<'a>,
    total: u64,
    message: &'static str,
    reported: u64,
}

impl ReportingReader<'_, '_> {
    /// Returns the next document, or `None` after the last one.
    ///
    /// # Errors
    /// `Interrupted` between two documents, or that of [`DocumentReader::next_document`].
    pub fn next_document(&mut self) -> Result<Option<Document>, StepError> {
        if self.reader.bytes_read() - self.reported >= 1 << 20 {
            self.reported = self.reader.bytes_read();
            self.context.report(self.reported, self.total, "bytes", self.message)?;
        }
        Ok(self.reader.next_document()?)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::retryable(format!("cannot read {}: {error}", path.display()))
}

/// Total size of files in bytes, for progress bars.
pub fn total_size(files: &[PathBuf]) -> Result<u64, Failure> {
    files.iter().try_fold(0, |sum, path| {
        let size = path.metadata().map_err(|error| unreadable(path, &error))?.len();
        Ok(sum + size)
    })
}

/// Failure for a write to the artifact store or the scratch directory: the disk may be full or read-only.
pub fn write_failure(what: &str, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot write {what}"), error)
        .with_hint("free space on the disk of the state directory, or check its permissions, then `stepwell resume`")
}
