//! Records the head of the event log outside the database. SQLite cannot notice that its newest commits are missing,
//! because a truncated or corrupted WAL just ends early, as after a crash; this file reveals the loss.
//!
//! Each commit overwrites the file in place, without fsync. After a power cut or a kill it may be older than the
//! database, but never newer.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use stepwell_base::faults::around;

use crate::error::StoreError;
use crate::layout::HEAD_FILE;

/// Bytes in the file. They fit in one disk sector, so a power cut cannot tear a write.
const LENGTH: usize = 128;
const SUM_DIGITS: usize = 8;
/// Reads of inconsistent content before giving up, and the pause between them. A running engine's write takes
/// microseconds.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);

/// The newest event and its hash. `seq` 0: no event yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) hash: String,
    /// Commits without an event: metrics, leases, requests.
    pub(crate) quiet: i64,
}

/// Content of the file.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Recorded {
    /// The state is new, or a person removed the file to accept a loss.
    Nothing,
    Head(Head),
    Unreadable,
}

/// Reads the record of the last commit. An engine may be writing it, and file systems do not promise atomic reads, so
/// inconsistent content is read again.
pub(crate) fn read(state_dir: &Path) -> Result<Recorded, StoreError> {
    let path = state_dir.join(HEAD_FILE);
    read_consistent(|| read_regular(&path)).map_err(|error| StoreError::io("read", &path, error))
}

/// Refuses a pipe, because reading one may block for ever.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        std::fs::read(path)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Reads until the content is consistent: its sum matches, or (for a build without sums) two reads agree.
fn read_consistent(mut read: impl FnMut() -> io::Result<Vec<u8>>) -> io::Result<Recorded> {
    let mut earlier: Option<Vec<u8>> = None;
    for _ in 0..TRIES {
        let text = match read() {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Recorded::Nothing),
            Err(error) => return Err(error),
        };
        // Empty if the process was killed between creating the file and the first commit.
        if text.is_empty() {
            return Ok(Recorded::Nothing);
        }
        if let Some(head) = verified(&text, earlier.as_deref()) {
            return Ok(Recorded::Head(head));
        }
        earlier = Some(text);
        sleep(PAUSE);
    }
    Ok(Recorded::Unreadable)
}

fn verified(text: &[u8], earlier: Option<&[u8]>) -> Option<Head> {
    let line: Line = serde_json::from_slice(text).ok()?;
    let verified = match &line.sum {
        Some(sum) => *sum == line.expected_sum(),
        None => earlier == Some(text),
    };
    verified.then_some(Head { seq: line.seq, hash: line.hash, quiet: line.quiet })
}

/// Lets `stepwell_fuzzing` check that consistent content round-trips.
pub fn check_content(text: &[u8]) {
    let Some(head) = verified(text, Some(text)) else { return };
    let again = serde_json::to_vec(&Line::of(&head)).expect("numbers and text have a JSON form");
    assert_eq!(verified(&again, None), Some(head));
}

/// JSON form of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: i64,
    hash: String,
    #[serde(default)]
    quiet: i64,
    /// Sum over the other fields; `None` in a line from an older build.
    #[serde(default)]
    sum: Option<String>,
}

impl Line {
    fn of(head: &Head) -> Line {
        let mut line = Line { seq: head.seq, hash: head.hash.clone(), quiet: head.quiet, sum: None };
        line.sum = Some(line.expected_sum());
        line
    }

    fn expected_sum(&self) -> String {
        let fields = format!("{} {} {}", self.seq, self.hash, self.quiet);
        blake3::hash(fields.as_bytes()).to_hex()[..SUM_DIGITS].to_owned()
    }
}

#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    /// Opens the file and writes `head`; when the file is new, its existence and content are durable on return.
    pub(crate) fn open(state_dir: &Path, head: &Head) -> Result<HeadFile, StoreError> {
        let path = state_dir.join(HEAD_FILE);
        let failed = |error| StoreError::io("write", &path, error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let new = file.metadata().map_err(failed)?.len() == 0;
        let head_file = HeadFile { file, path: path.clone() };
        head_file.write(head).map_err(failed)?;
        if new {
            around!("store.head.fsync", head_file.file.sync_all()).map_err(failed)?;
            let sync_folder = || File::open(state_dir)?.sync_all();
            around!("store.head.fsync_folder", sync_folder()).map_err(failed)?;
        }
        Ok(head_file)
    }

    pub(crate) fn write(&self, head: &Head) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line::of(head))?;
        line.resize(line.len().max(LENGTH - 1), b' ');
        line.push(b'\n');
        around!("store.head.write", self.file.write_all_at(&line, 0))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn head(seq: i64) -> Head {
        Head { seq, hash: blake3::hash(&seq.to_le_bytes()).to_hex().to_string(), quiet: seq * 3 }
    }

    fn written(head: &Head) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        drop(HeadFile::open(dir.path(), head).unwrap());
        std::fs::read(dir.path().join(HEAD_FILE)).unwrap()
    }

    /// Result of reads that return these contents in turn; the last one repeats.
    fn read_of(reads: &[&[u8]]) -> Recorded {
        let mut reads: VecDeque<Vec<u8>> = reads.iter().map(|read| read.to_vec()).collect();
        read_consistent(|| Ok(if reads.len() > 1 { reads.pop_front().unwrap() } else { reads[0].clone() })).unwrap()
    }

    #[test]
    fn a_pipe_in_its_place_is_refused_and_not_waited_for() {
        use rustix::fs::{CWD, FileType, mknodat};
        let dir = tempfile::tempdir().unwrap();
        mknodat(CWD, dir.path().join(HEAD_FILE), FileType::Fifo, 0o644.into(), 0).unwrap();
        let error = read(dir.path()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("not a regular file"), "{cause}");
    }

    #[test]
    fn a_torn_read_is_read_again() {
        let (old, new) = (written(&head(41)), written(&head(42)));
        assert_eq!(new.len(), LENGTH);
        for cut in 1..LENGTH {
            let torn = [&new[..cut], &old[cut..]].concat();
            // Two reads are equal when the writer stops in the middle.
            let recorded = read_of(&[&torn, &torn, &new]);
            assert!(recorded == Recorded::Head(head(42)) || torn == old, "cut at {cut}: {recorded:?}");
        }
        assert_eq!(read_of(&[&[&new[..20], &old[20..]].concat()]), Recorded::Unreadable);
    }

    #[test]
    fn the_line_of_an_older_build_is_believed_when_it_is_there_twice() {
        let line = |seq: i64| format!("{{\"seq\":{seq},\"hash\":\"{}\",\"quiet\":{}}}  \n", head(seq).hash, seq * 3);
        let (torn, whole) = (line(41).replace("41", "42"), line(42));
        assert_eq!(read_of(&[torn.as_bytes(), whole.as_bytes()]), Recorded::Head(head(42)));
    }
}
