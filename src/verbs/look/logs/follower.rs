//! Follows the log of one attempt.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::CliError;
use crate::view::output::{Output, Printed, Screen};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::visible::visible_line;
use stepwell_store::attempt_log;

/// Time after an attempt's end was committed in which its processes may still write.
const DRAIN_TIME: Duration = Duration::from_secs(10);
const PART: usize = 64 << 10;

/// An attempt of a step.
pub(super) struct Place<'a> {
    pub(super) run: RunId,
    pub(super) step: &'a StepId,
    /// For a child of a fan-out: its item, as people read it.
    pub(super) item: Option<String>,
    pub(super) attempt: u32,
}

/// Prints new bytes of an attempt's log. The file stays open, because a shorter one may replace it when the attempt
/// ends.
pub(super) struct Follower {
    step: StepId,
    /// Printed before the first byte; `None` after it.
    title: Option<String>,
    path: PathBuf,
    /// `None` until it exists; attempts on the engine's own thread have no log.
    log: Option<File>,
    offset: u64,
    /// Bytes dropped since the last printed byte.
    dropped: u64,
    /// Time when the end of the attempt was seen.
    ended: Option<Instant>,
    screen: Screen,
}

impl Follower {
    pub(super) fn new(state_dir: &Path, place: Place<'_>) -> Follower {
        let Place { run, step, item, attempt } = place;
        let item = item.map(|item| format!(" ({item})")).unwrap_or_default();
        Follower {
            step: step.clone(),
            title: Some(format!("==> {step}{} attempt {attempt}\n", visible_line(&item))),
            path: attempt_log(state_dir, run, step, attempt),
            log: None,
            offset: 0,
            dropped: 0,
            ended: None,
            screen: Screen::default(),
        }
    }

    pub(super) fn step(&self) -> &StepId {
        &self.step
    }

    /// True once some of the log was printed or passed over.
    pub(super) fn has_content(&self) -> bool {
        self.offset > 0
    }

    /// Passes over all but the last lines of what the log has so far.
    pub(super) fn skip_to_last(&mut self, lines: u64) -> Result<(), CliError> {
        let skip = |follower: &mut Follower| -> io::Result<()> {
            if let Some(log) = follower.open()? {
                follower.offset = start_of_last(log, lines)?;
            }
            Ok(())
        };
        skip(self).map_err(|error| CliError::io("read", &self.path, error))
    }

    pub(super) fn attempt_ended(&mut self) {
        self.ended.get_or_insert_with(Instant::now);
    }

    pub(super) fn may_grow(&self) -> bool {
        self.ended.is_none_or(|ended| self.log.is_some() && ended.elapsed() < DRAIN_TIME)
    }

    /// Prints new bytes unchanged, except on a terminal.
    pub(super) fn print(&mut self, out: &Output) -> Result<Printed, CliError> {
        let mut part = vec![0; PART];
        loop {
            let count = self.read(&mut part).map_err(|error| CliError::io("read", &self.path, error))?;
            if count == 0 {
                return Ok(Printed::Written);
            }
            let mut text = Vec::new();
            text.extend(self.title.take().unwrap_or_default().bytes());
            self.offset += count as u64;
            // These bytes were dropped between finding the end of the hole and reading.
            if part[..count].iter().all(|byte| *byte == 0) {
                self.dropped += count as u64;
                continue;
            }
            if self.dropped > 0 {
                let dropped = self.dropped;
                let told = format!("\n[stepwell: {dropped} bytes of this log were dropped, see `log_limit`]\n");
                text.extend(told.bytes());
                self.dropped = 0;
            }
            if out.is_terminal() {
                text.extend(self.screen.show(&part[..count]).bytes());
            } else {
                text.extend(&part[..count]);
            }
            if out.raw(&text)? == Printed::ReaderGone {
                return Ok(Printed::ReaderGone);
            }
        }
    }

    /// Prints the rest that a terminal has not shown because more bytes could have followed.
    pub(super) fn finish(&mut self, out: &Output) -> Result<Printed, CliError> {
        out.raw(self.screen.finish().as_bytes())
    }

    /// Opens the log once it exists.
    fn open(&mut self) -> io::Result<Option<&File>> {
        if self.log.is_none() && self.path.is_file() {
            self.log = Some(File::open(&self.path)?);
        }
        Ok(self.log.as_ref())
    }

    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        self.open()?;
        let Some(mut log) = self.log.as_ref() else { return Ok(0) };
        // On a file system without holes, the log is truncated instead.
        self.offset = self.offset.min(log.metadata()?.len());
        (self.offset, self.dropped) = behind_hole(log, self.offset, self.dropped);
        log.seek(SeekFrom::Start(self.offset))?;
        log.read(part)
    }
}

/// Finds where the last lines of a log start. An unfinished line at the end counts.
fn start_of_last(log: &File, lines: u64) -> io::Result<u64> {
    let length = log.metadata()?.len();
    let (mut end, mut seen) = (length, 0);
    let mut part = vec![0; PART];
    if lines == 0 {
        return Ok(length);
    }
    while end > 0 {
        let start = end.saturating_sub(PART as u64);
        let part = &mut part[..(end - start) as usize];
        log.read_exact_at(part, start)?;
        for (index, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = start + index as u64 + 1;
            seen += u64::from(after < length);
            if seen == lines && after < length {
                return Ok(after);
            }
        }
        end = start;
    }
    Ok(0)
}

/// Returns the offset at which data resumes after `offset`, and the number of bytes dropped up to there.
#[cfg(target_os = "linux")]
fn behind_hole(log: &File, offset: u64, dropped: u64) -> (u64, u64) {
    match rustix::fs::seek(log, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => (data, dropped + data - offset),
        Err(_) => (offset, dropped),
    }
}

#[cfg(not(target_os = "linux"))]
fn behind_hole(_log: &File, offset: u64, dropped: u64) -> (u64, u64) {
    (offset, dropped)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_start_after_a_line_feed() {
        let start = |text: &str, lines: u64| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            text[start_of_last(&file, lines).unwrap() as usize..].to_owned()
        };
        assert_eq!(start("a\nb\nc\n", 1), "c\n");
        assert_eq!(start("a\nb\nc", 1), "c");
        assert_eq!(start("a\nb\nc\n", 2), "b\nc\n");
        for lines in [3, 4, 100] {
            assert_eq!(start("a\nb\nc\n", lines), "a\nb\nc\n");
        }
        assert_eq!(start("a\nb\n", 0), "");
        assert_eq!(start("", 3), "");
        assert_eq!(start("\n\n\n", 2), "\n\n");
        let long = "x".repeat(PART) + "\nlast " + &"y".repeat(2 * PART) + "\n";
        assert_eq!(start(&long, 1).len(), 2 * PART + 6);
    }
}
