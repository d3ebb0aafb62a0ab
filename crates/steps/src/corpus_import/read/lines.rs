//! Reads lines of valid UTF-8 without NUL bytes. No character spans a line break, so each line can be checked alone.

use std::io::{self, BufRead};
use std::str;

use super::bad_line::BadLine;
use super::decode::Plain;
use super::encoding::{self, Encoding};
use crate::corpus_import::json::{Frame, Framed};
use crate::corpus_import::source::{Format, SourceFile};
use stepwell_base::failure::Failure;

/// Selects the characters that end a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineEnds {
    /// A line feed, which stays part of the line.
    LineFeed,
    /// CR LF, LF, or a lone CR as on old Macs; not part of the line.
    Any,
}

pub struct Lines<'a> {
    plain: Plain<'a>,
    line: Vec<u8>,
    /// 1-based number of the last line.
    number: u64,
    /// Number of decoded bytes read.
    offset: u64,
    /// Number of pending empty lines, whose line ends were read with an earlier line.
    empty_lines: u64,
    /// True after text beyond ASCII: the file is mostly valid UTF-8.
    is_wide: bool,
    max_bytes: u64,
}

pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl<'a> Lines<'a> {
    /// `max_bytes` bounds a line and therefore the memory.
    ///
    /// # Errors
    /// When the file cannot be opened, is binary, or is in another encoding.
    pub fn open(file: &'a SourceFile, encoding: Encoding, max_bytes: u64) -> Result<Self, Failure> {
        let plain = Plain::open(file, encoding)?;
        let head = plain.text.head();
        // An early NUL marks a picture or a program, not a text with one bad byte. In JSON it is one bad line.
        let early = head[..head.len().min(8192)].iter().position(|byte| *byte == 0);
        if let (Format::Text, Some(at)) = (file.format, early) {
            return Err(binary(file, at as u64));
        }
        Ok(Lines { plain, line: Vec::new(), number: 0, offset: 0, empty_lines: 0, is_wide: false, max_bytes })
    }

    pub fn file(&self) -> &'a SourceFile {
        self.plain.file
    }

    /// Number of decoded bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.offset
    }

    /// Digest of the stored bytes, once the end is reached.
    pub fn digest(&self) -> blake3::Hash {
        self.plain.tally.digest()
    }

    pub fn is_doubtful(&self) -> bool {
        self.plain.doubtful
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Formats the place of a line as `FILE:LINE`.
    pub fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.file().shown())
    }

    /// First bytes of the file, without a byte order mark. Valid only before the first line is read.
    pub fn head(&self) -> &[u8] {
        let head = self.plain.text.head();
        head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head)
    }

    /// Skips white space and returns the next byte; `None` at the end of the file.
    pub fn peek_value(&mut self) -> Result<Option<u8>, Failure> {
        if self.offset == 0 {
            self.number = 1;
            if self.plain.text.head().starts_with(BYTE_ORDER_MARK) {
                self.pass(BYTE_ORDER_MARK.len(), 0);
            }
        }
        loop {
            let bytes = match self.plain.text.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.plain.failure(&error)),
            };
            if bytes.is_empty() {
                return Ok(None);
            }
            let space = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            let (next, feeds) = (bytes.get(space).copied(), line_feeds(&bytes[..space]));
            self.pass(space, feeds);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Skips the peeked byte.
    pub fn pass_byte(&mut self) {
        self.pass(1, 0);
    }

    /// Reads the value that starts here. The inner error is a value that is not valid text.
    ///
    /// # Errors
    /// When the file cannot be read further, or the value is too long.
    pub fn value(&mut self, frame: &mut Frame) -> Result<Result<&str, BadLine>, Failure> {
        self.line.clear();
        let start = self.offset;
        loop {
            let bytes = match self.plain.text.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.plain.failure(&error)),
            };
            let (taken, ends) = match frame.feed(bytes) {
                Framed::Ends(taken) => (taken, true),
                Framed::More => (bytes.len(), bytes.is_empty()),
            };
            self.line.extend_from_slice(&bytes[..taken]);
            let feeds = line_feeds(&bytes[..taken]);
            self.pass(taken, feeds);
            if self.line.len() as u64 > self.max_bytes {
                return Err(too_long(self.file(), self.number, self.max_bytes));
            }
            if ends {
                return Ok(self.checked(start));
            }
        }
    }

    fn pass(&mut self, bytes: usize, line_feeds: u64) {
        self.plain.text.consume(bytes);
        self.offset += bytes as u64;
        self.number += line_feeds;
    }

    /// Reads the next line. The inner error is a line that is not valid text.
    ///
    /// # Errors
    /// When the file cannot be read further, or the line is too long.
    pub fn next(&mut self, ends: LineEnds) -> Result<Option<Result<&str, BadLine>>, Failure> {
        if self.empty_lines > 0 {
            self.empty_lines -= 1;
            self.number += 1;
            return Ok(Some(Ok("")));
        }
        self.line.clear();
        let start = self.offset;
        if !self.read_line(ends)? {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(self.checked(start)))
    }

    /// Returns the bytes from `start` as text.
    fn checked(&mut self, start: u64) -> Result<&str, BadLine> {
        let skip = if start == 0 && self.line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        if let Some(at) = memchr::memchr(0, &self.line) {
            let what = format!("NUL byte at byte offset {}", start + at as u64);
            return Err(self.bad(what, "only text can be imported; repair the file there, or leave it out"));
        }
        let was_wide = self.is_wide;
        self.is_wide |= !self.line[skip..].is_ascii();
        str::from_utf8(&self.line[skip..]).map_err(|error| {
            let valid = skip + error.valid_up_to();
            self.not_utf8(start + valid as u64, was_wide || !self.line[skip..valid].is_ascii())
        })
    }

    /// `is_wide` is true if UTF-8 beyond ASCII came before.
    fn not_utf8(&self, at: u64, is_wide: bool) -> BadLine {
        let what = format!("invalid UTF-8 at byte offset {at}");
        if is_wide {
            let hint = "repair the file there, or take such bytes out with `iconv -c -f UTF-8 -t UTF-8`";
            return self.bad(format!("{what}, in text that is UTF-8 before it"), hint);
        }
        let likely = encoding::guess(&self.line);
        self.bad(format!("{what}; it looks like {likely}"), &encoding::set(&likely))
    }

    fn bad(&self, what: String, hint: &str) -> BadLine {
        BadLine { place: self.place(self.number), what, hint: hint.to_owned() }
    }

    /// Reads into `line` up to the next line end; false at the end of the file.
    fn read_line(&mut self, ends: LineEnds) -> Result<bool, Failure> {
        let before = self.offset;
        loop {
            let bytes = match self.plain.text.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.plain.failure(&error)),
            };
            if bytes.is_empty() {
                return Ok(self.offset > before);
            }
            let end = match ends {
                LineEnds::LineFeed => memchr::memchr(b'\n', bytes),
                LineEnds::Any => memchr::memchr2(b'\n', b'\r', bytes),
            };
            let (taken, found) = end.map_or((bytes.len(), None), |at| (at, Some(bytes[at])));
            self.line.extend_from_slice(&bytes[..taken]);
            self.plain.text.consume(taken);
            self.offset += taken as u64;
            if self.line.len() as u64 > self.max_bytes {
                return Err(too_long(self.file(), self.number + 1, self.max_bytes));
            }
            let Some(found) = found else { continue };
            self.plain.text.consume(1);
            self.offset += 1;
            if ends == LineEnds::LineFeed {
                self.line.push(b'\n');
            } else if found == b'\r' {
                self.after_return().map_err(|error| self.plain.failure(&error))?;
            }
            return Ok(true);
        }
    }

    /// Handles input after a CR: CRs before a line feed form one line end with it; other CRs end lines of their own.
    fn after_return(&mut self) -> io::Result<()> {
        let mut returns = 0;
        loop {
            let next = self.plain.text.fill_buf()?.first().copied();
            if !matches!(next, Some(b'\n' | b'\r')) {
                self.empty_lines = returns;
                return Ok(());
            }
            self.plain.text.consume(1);
            self.offset += 1;
            if next == Some(b'\n') {
                return Ok(());
            }
            returns += 1;
        }
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

pub fn too_long(file: &SourceFile, line: u64, max_bytes: u64) -> Failure {
    let message = format!("{}:{line}: a document of more than {} MiB", file.shown(), max_bytes >> 20);
    Failure::fatal(message).with_hint("divide it into several documents; `split = \"paragraph\"` divides a text file")
}

fn binary(file: &SourceFile, at: u64) -> Failure {
    let message = format!("{} is a binary file: NUL byte at byte offset {at}", file.shown());
    Failure::fatal(message).with_hint("only text can be imported; leave the file out, or convert it to text first")
}
