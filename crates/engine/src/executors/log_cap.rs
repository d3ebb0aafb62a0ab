//! Caps the log of one attempt: its first and its newest part stay, the middle is dropped.
//!
//! While processes write, the middle becomes a hole in the file: its blocks are free, every later byte keeps its
//! offset, and no writer is blocked or loses a line. Once the writers are dead, a file without a hole replaces the
//! log.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// File system block size in bytes: only whole blocks can be freed.
const BLOCK: u64 = 4096;
/// A cut moves to the end of a line of at most this many bytes.
const LONGEST_LINE: u64 = 4096;
/// Length at which a log is rewritten without its hole, well below any file system's largest file. The rewrite can
/// lose bytes.
const LARGEST: u64 = 1 << 40;

pub(super) struct LogCap {
    path: PathBuf,
    /// Maximum bytes to keep on disk.
    limit: u64,
    /// End of the hole.
    given_up: u64,
    /// File length at the last look.
    length: u64,
}

impl LogCap {
    pub(super) fn new(path: PathBuf, limit: u64) -> LogCap {
        LogCap { path, limit, given_up: 0, length: 0 }
    }

    fn head(&self) -> u64 {
        (self.limit / 8).next_multiple_of(BLOCK)
    }

    fn tail(&self) -> u64 {
        self.limit / 8 * 3
    }

    /// Frees the middle if the log is too large. Returns the growth in bytes since the last look.
    ///
    /// # Errors
    /// When the log cannot be read or cut; it is unchanged then.
    pub(super) fn look(&mut self) -> io::Result<u64> {
        let length = fs::metadata(&self.path)?.len();
        let growth = length.saturating_sub(self.length);
        self.length = length;
        let start = self.head().max(self.given_up);
        if length.saturating_sub(start) + self.head() <= self.limit {
            return Ok(growth);
        }
        let end = (length - self.tail()) / BLOCK * BLOCK;
        let log = OpenOptions::new().write(true).open(&self.path)?;
        if length < LARGEST && punch(&log, start, end).is_ok() {
            self.given_up = end;
        } else {
            self.cut_in_place()?;
        }
        Ok(growth)
    }

    /// Cuts the log on a file system without holes. Bytes written between the copy and the cut are lost.
    fn cut_in_place(&mut self) -> io::Result<()> {
        let kept = self.copy_kept()?;
        let mut log = OpenOptions::new().append(true).open(&self.path)?;
        log.set_len(0)?;
        io::copy(&mut File::open(&kept)?, &mut log)?;
        fs::remove_file(&kept)?;
        (self.given_up, self.length) = (0, 0);
        Ok(())
    }

    /// Makes the log a plain file. Call it when no process writes to the log. A reader that follows the log keeps
    /// the old file open.
    ///
    /// # Errors
    /// When the copy fails, for example for lack of space; the log is unchanged then.
    pub(super) fn finish(&self) -> io::Result<()> {
        if fs::metadata(&self.path)?.len() > self.limit {
            // No failpoint: nothing durable depends on a log.
            fs::rename(self.copy_kept()?, &self.path)?;
        }
        Ok(())
    }

    fn copy_kept(&self) -> io::Result<PathBuf> {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(".new");
        let copy = PathBuf::from(name);
        let written = self.write_kept(&copy);
        if written.is_err() {
            // Fails when the file could not even be created; then nothing is left to remove.
            let _ = fs::remove_file(&copy);
        }
        written.map(|()| copy)
    }

    fn write_kept(&self, copy: &Path) -> io::Result<()> {
        let mut log = BufReader::new(File::open(&self.path)?);
        let length = log.get_ref().metadata()?.len();
        let head = end_of_line(&mut log, self.head() - LONGEST_LINE)?;
        let tail = end_of_line(&mut log, length - self.tail())?;
        let mut copy = File::create(copy)?;
        log.rewind()?;
        io::copy(&mut log.by_ref().take(head), &mut copy)?;
        writeln!(copy, "[stepwell: {} bytes of this log were dropped, see `log_limit`]", tail - head)?;
        log.seek(SeekFrom::Start(tail))?;
        io::copy(&mut log, &mut copy)?;
        Ok(())
    }
}

/// End of the line that contains `offset`, or `offset` itself when the line is longer than [`LONGEST_LINE`].
fn end_of_line(log: &mut BufReader<File>, offset: u64) -> io::Result<u64> {
    log.seek(SeekFrom::Start(offset))?;
    let mut rest = Vec::new();
    log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut rest)?;
    Ok(if rest.ends_with(b"\n") { offset + rest.len() as u64 } else { offset })
}

#[cfg(target_os = "linux")]
fn punch(log: &File, start: u64, end: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(log, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, end - start)?)
}

#[cfg(not(target_os = "linux"))]
fn punch(_log: &File, _start: u64, _end: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 256 << 10;

    fn lines(numbers: std::ops::Range<u32>) -> String {
        numbers.map(|n| format!("line {n:07}\n")).collect()
    }

    fn log(text: &str) -> (tempfile::TempDir, LogCap) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempt-1.log");
        fs::write(&path, text).unwrap();
        (folder, LogCap::new(path, LIMIT))
    }

    fn append(cap: &LogCap, text: &str) {
        OpenOptions::new().append(true).open(&cap.path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn check(cap: &LogCap, first: u32, last: u32) {
        let text = fs::read_to_string(&cap.path).unwrap();
        assert!(text.len() as u64 <= LIMIT, "{} bytes", text.len());
        let whole = |line: &&str| line.len() == 12 && line.starts_with("line ");
        let odd: Vec<&str> = text.lines().filter(|line| !whole(line)).collect();
        assert!(odd.iter().all(|line| line.starts_with("[stepwell: ")), "{odd:?}");
        assert!(!odd.is_empty());
        assert!(text.starts_with(&lines(first..first + 1000)));
        assert!(text.ends_with(&lines(last - 5000..last)));
        assert_eq!(fs::read_dir(cap.path.parent().unwrap()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_log_that_grows_keeps_its_place_on_the_disk_and_every_new_line() {
        use std::os::unix::fs::MetadataExt;
        let (_folder, mut cap) = log("");
        for n in 0..40 {
            append(&cap, &lines(n * 10_000..(n + 1) * 10_000));
            assert!(cap.look().unwrap() > 0);
            let metadata = fs::metadata(&cap.path).unwrap();
            assert_eq!(metadata.len(), u64::from(n + 1) * 130_000, "nothing moves");
            assert!(metadata.blocks() * 512 <= LIMIT + 2 * BLOCK, "{}", metadata.blocks());
        }
        cap.finish().unwrap();
        check(&cap, 0, 400_000);
        let text = fs::read_to_string(&cap.path).unwrap();
        let note = text.lines().find(|line| line.starts_with('[')).unwrap();
        let dropped: usize = note.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(dropped + text.len() - note.len() - 1, 400_000 * 13);
    }

    #[test]
    fn a_file_system_without_holes_gets_a_shorter_file() {
        let (_folder, mut cap) = log(&lines(0..100_000));
        cap.cut_in_place().unwrap();
        check(&cap, 0, 100_000);
        append(&cap, &lines(100_000..200_000));
        cap.cut_in_place().unwrap();
        check(&cap, 0, 200_000);
    }

    #[test]
    fn a_log_within_the_limit_is_left_alone() {
        let (_folder, mut cap) = log(&lines(0..20_000));
        assert_eq!(cap.look().unwrap(), 260_000);
        assert_eq!(cap.look().unwrap(), 0);
        cap.finish().unwrap();
        assert_eq!(fs::read_to_string(&cap.path).unwrap(), lines(0..20_000));
    }

    #[test]
    fn one_endless_line_is_cut_as_well() {
        let (_folder, mut cap) = log(&"x".repeat(1 << 20));
        cap.look().unwrap();
        cap.finish().unwrap();
        assert!(fs::metadata(&cap.path).unwrap().len() <= LIMIT);
    }
}
