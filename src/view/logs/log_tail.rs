//! Reads an attempt's log line by line while it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use stepwell_base::excerpt::plain_line;

/// Bytes of a line after which it is shown without its end.
const LONGEST_LINE: usize = 16 << 10;
const PART: usize = 64 << 10;

pub struct LogTail {
    path: PathBuf,
    /// `None` until it exists; attempts on the engine's own thread have no log.
    log: Option<File>,
    offset: u64,
    line: Unfinished,
}

/// The start of a line whose end is not written yet.
#[derive(Default)]
struct Unfinished(Vec<u8>);

/// State of a log after a look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    Nothing,
    /// More bytes than one look may read; at least this many.
    Bytes(u64),
}

impl LogTail {
    pub fn new(path: PathBuf) -> LogTail {
        LogTail { path, log: None, offset: 0, line: Unfinished::default() }
    }

    /// Passes each new line, as a terminal finally shows it, to `show`; reads at most about `most` bytes.
    pub fn read(&mut self, most: u64, show: &mut dyn FnMut(String)) -> io::Result<Rest> {
        if self.log.is_none() && self.path.is_file() {
            self.log = Some(File::open(&self.path)?);
        }
        let Some(mut log) = self.log.as_ref() else { return Ok(Rest::Nothing) };
        let mut part = vec![0; PART];
        let mut read = 0;
        loop {
            let length = log.metadata()?.len();
            // On a file system without holes, a log above its limit is truncated instead.
            self.offset = self.offset.min(length);
            let data = data_from(log, self.offset);
            if data > self.offset {
                self.line.finish(show);
                show(format!("[stepwell: {} bytes of this log were dropped, see `log_limit`]", data - self.offset));
                self.offset = data;
            }
            if read >= most {
                return Ok(if length > self.offset { Rest::Bytes(length - self.offset) } else { Rest::Nothing });
            }
            log.seek(SeekFrom::Start(self.offset))?;
            let count = log.read(&mut part)?;
            if count == 0 {
                return Ok(Rest::Nothing);
            }
            self.offset += count as u64;
            read += count as u64;
            self.line.split(&part[..count], show);
        }
    }

    /// Shows the start of a line that has no end.
    pub fn finish(&mut self, show: &mut dyn FnMut(String)) {
        self.line.finish(show);
    }
}

impl Unfinished {
    fn finish(&mut self, show: &mut dyn FnMut(String)) {
        if !self.0.is_empty() {
            show(text(&std::mem::take(&mut self.0)));
        }
    }

    fn split(&mut self, mut bytes: &[u8], show: &mut dyn FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.0.extend(&bytes[..end]);
            show(text(&std::mem::take(&mut self.0)));
            bytes = &bytes[end + 1..];
        }
        self.0.extend(bytes);
        if self.0.len() > LONGEST_LINE {
            // A progress bar is drawn again and again without a line feed: only its last drawing counts.
            match self.0.iter().rposition(|byte| *byte == b'\r') {
                Some(at) if self.0.len() - at <= LONGEST_LINE => drop(self.0.drain(..=at)),
                _ => self.finish(show),
            }
        }
    }
}

fn text(line: &[u8]) -> String {
    plain_line(&String::from_utf8_lossy(line))
}

/// Returns the offset at which data continues after a hole.
#[cfg(target_os = "linux")]
fn data_from(log: &File, offset: u64) -> u64 {
    rustix::fs::seek(log, rustix::fs::SeekFrom::Data(offset)).unwrap_or(offset)
}

#[cfg(not(target_os = "linux"))]
fn data_from(_log: &File, offset: u64) -> u64 {
    offset
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn read(tail: &mut LogTail, most: u64) -> (Vec<String>, Rest) {
        let mut lines = Vec::new();
        let rest = tail.read(most, &mut |line| lines.push(line)).unwrap();
        (lines, rest)
    }

    #[test]
    fn lines_come_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempt-1.log");
        let mut tail = LogTail::new(path.clone());
        assert_eq!(read(&mut tail, 100), (vec![], Rest::Nothing), "there is no log yet");
        let mut log = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(read(&mut tail, 100).0, ["one"]);
        log.write_all("o\n10 %\r\x1b[31m20 %\x1b[0m\ncaf\u{e9}\n\nend".as_bytes()).unwrap();
        assert_eq!(read(&mut tail, 100).0, ["two", "20 %", "caf\u{e9}", ""]);
        let mut rest = Vec::new();
        tail.finish(&mut |line| rest.push(line));
        assert_eq!(rest, ["end"]);
    }

    #[test]
    fn one_look_reads_a_part_and_a_line_without_end_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempt-1.log");
        fs::write(&path, format!("{}\n", "x".repeat(100)).repeat(2000)).unwrap();
        let mut tail = LogTail::new(path.clone());
        let (lines, rest) = read(&mut tail, 1);
        assert_eq!(rest, Rest::Bytes(202_000 - PART as u64));
        assert_eq!(lines.len(), PART / 101);
        let mut tail = LogTail::new(path.clone());
        fs::write(&path, "10 %\r".repeat(PART)).unwrap();
        assert_eq!(read(&mut tail, u64::MAX).0, Vec::<String>::new(), "one line that is drawn again and again");
        assert!(tail.line.0.len() <= LONGEST_LINE);
        let mut tail = LogTail::new(path.clone());
        fs::write(&path, "y".repeat(PART)).unwrap();
        assert_eq!(read(&mut tail, u64::MAX).0.len(), 1);
    }
}
