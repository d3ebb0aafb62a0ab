//! Reads a file once, line by line, and judges every line. Memory is bounded by the longest line, and by some bytes per line.

use std::collections::HashMap;
use std::io::{self, BufRead};

use super::envelope::{Request, is_blank, parse_line};
use super::rules::Rules;
use crate::error::{Code, RowError};

/// Where a line is, and a digest that notices when the file has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Counted from 1, blank lines included.
    pub line: u64,
    pub offset: u64,
    /// Length without the line's end.
    pub bytes: u32,
    /// The first bytes of the BLAKE3 digest of these bytes.
    pub check: u64,
}

impl Place {
    /// True if these are the bytes that the scan has seen.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.bytes as usize && check(bytes) == self.check
    }
}

fn check(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// A bad line, in the form of `errors.data` of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineProblem {
    /// `None` for a problem of the whole file.
    pub line: Option<u64>,
    /// The id of the line, if it has one that is no duplicate.
    pub custom_id: Option<String>,
    pub error: RowError,
}

/// A line that is a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen {
    Request(Request),
    Bad(LineProblem),
}

/// Judges the lines of one file, in their order.
pub struct Scanner<'a, R> {
    input: R,
    rules: &'a Rules,
    line: u64,
    records: u64,
    offset: u64,
    /// The line of each id.
    ids: HashMap<[u8; 16], u64>,
    /// Line and model of the first request.
    first: Option<(u64, Option<String>)>,
    digest: blake3::Hasher,
    buffer: Vec<u8>,
}

impl<'a, R: BufRead> Scanner<'a, R> {
    pub fn new(input: R, rules: &'a Rules) -> Scanner<'a, R> {
        let (ids, digest) = (HashMap::new(), blake3::Hasher::new());
        Scanner { input, rules, line: 0, records: 0, offset: 0, ids, first: None, digest, buffer: Vec::new() }
    }

    /// The next record and its place; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read. `Ok(Err(..))` is a problem of the whole file, after which nothing more is read.
    pub fn next_record(&mut self) -> io::Result<Option<Result<(Place, Seen), LineProblem>>> {
        loop {
            let start = self.offset;
            let Some(length) = self.read_line()? else { return Ok(None) };
            self.line += 1;
            if self.offset > self.rules.limits.bytes {
                return Ok(Some(Err(self.too_large())));
            }
            let first = self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf");
            let bom = if first { 3 } else { 0 };
            if length <= self.rules.limits.line_bytes && is_blank(&self.buffer[bom..]) {
                continue;
            }
            self.records += 1;
            if self.records > self.rules.limits.lines {
                return Ok(Some(Err(self.too_many())));
            }
            let text = &self.buffer[bom..];
            let place =
                Place { line: self.line, offset: start + bom as u64, bytes: text.len() as u32, check: check(text) };
            let seen = if length > self.rules.limits.line_bytes { self.too_long(length) } else { self.judge(bom) };
            return Ok(Some(Ok((place, seen))));
        }
    }

    /// BLAKE3 of everything that was read.
    pub fn digest(&self) -> blake3::Hash {
        self.digest.finalize()
    }

    /// Number of records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Reads a line without its end into the buffer, and no more of it than a line may have. Returns its whole length.
    fn read_line(&mut self) -> io::Result<Option<u64>> {
        self.buffer.clear();
        let (mut length, mut any) = (0_u64, false);
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(any.then_some(length));
            }
            any = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let space = self.rules.limits.line_bytes.saturating_sub(self.buffer.len() as u64);
            self.buffer.extend_from_slice(&part[..part.len().min(usize::try_from(space).unwrap_or(usize::MAX))]);
            length += part.len() as u64;
            let used = part.len() + usize::from(end.is_some());
            self.digest.update(&available[..used]);
            self.input.consume(used);
            self.offset += used as u64;
            if end.is_some() || self.offset > self.rules.limits.bytes {
                return Ok(Some(length));
            }
        }
    }

    fn judge(&mut self, bom: usize) -> Seen {
        let parsed = parse_line(&self.buffer[bom..], self.rules.limits.line_bytes);
        let id = match &parsed {
            Ok(request) => Some(&request.custom_id),
            Err((_, id)) => id.as_ref(),
        };
        if let Some(earlier) = id.and_then(|id| self.earlier(&id.clone())) {
            let message = format!("`custom_id` is that of line {earlier}");
            return self.bad(RowError::about("custom_id", Code::DuplicateCustomId, message), None);
        }
        let request = match parsed {
            Ok(request) => request,
            Err((error, id)) => return self.bad(error, id),
        };
        match self.mismatch(&request) {
            Some(error) => self.bad(error, Some(request.custom_id)),
            None => Seen::Request(request),
        }
    }

    /// The line that had this id before.
    fn earlier(&mut self, id: &str) -> Option<u64> {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
        match self.ids.entry(key) {
            std::collections::hash_map::Entry::Occupied(earlier) => Some(*earlier.get()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(self.line);
                None
            }
        }
    }

    /// Compares url and model with those that the file may have.
    fn mismatch(&mut self, request: &Request) -> Option<RowError> {
        let Rules { endpoint, models, .. } = self.rules;
        if let Some(wanted) = endpoint.filter(|wanted| *wanted != request.endpoint) {
            let message = format!("`url` is {}, the batch is for {}", request.endpoint.as_str(), wanted.as_str());
            return Some(RowError::about("url", Code::MismatchedUrl, message));
        }
        if let Some(model) = request.model.as_ref().filter(|model| !models.is_empty() && !models.contains(model)) {
            let known = models.join(", ");
            let message = format!("the model `{}` does not exist; there is {known}", crate::body::shortened(model));
            return Some(RowError::about("model", Code::ModelNotFound, message));
        }
        let (line, model) = self.first.get_or_insert((self.line, request.model.clone()));
        match (&request.model, model) {
            (Some(own), Some(first)) if own != first => {
                let message = format!(
                    "the model is `{}`, but `{}` in line {line}; a batch has one model",
                    crate::body::shortened(own),
                    crate::body::shortened(first)
                );
                Some(RowError::about("model", Code::MismatchedModel, message))
            }
            _ => None,
        }
    }

    fn bad(&self, error: RowError, custom_id: Option<String>) -> Seen {
        Seen::Bad(LineProblem { line: Some(self.line), custom_id, error })
    }

    fn too_long(&self, length: u64) -> Seen {
        let message = format!("this line has {length} bytes, at most {} are allowed", self.rules.limits.line_bytes);
        self.bad(RowError::new(Code::LineTooLarge, message), None)
    }

    fn too_large(&self) -> LineProblem {
        let message = format!("the file has more than {} bytes", self.rules.limits.bytes);
        LineProblem { line: None, custom_id: None, error: RowError::new(Code::FileTooLarge, message) }
    }

    fn too_many(&self) -> LineProblem {
        let message = format!("the file has more than {} requests", self.rules.limits.lines);
        LineProblem { line: None, custom_id: None, error: RowError::new(Code::TooManyLines, message) }
    }
}
