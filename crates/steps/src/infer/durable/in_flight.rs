//! Notes which rows are in flight, so that the next attempt knows whose company a dead worker was in.
//!
//! An engine that dies takes its workers along; that is no row's fault. A worker that dies alone is: its rows are then run one
//! by one, and one that is in flight at three deaths gets an error line.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::{MemoryKills, ended_without_memory};
use stepwell_base::faults::around;
use stepwell_batch::{Code, RowError};

/// Deaths after which a row is given up.
pub(in crate::infer) const MOST_DEATHS: u32 = 3;
const FILE: &str = "in-flight.json";

/// Content of the file.
#[derive(Default, Serialize, Deserialize)]
struct Note {
    /// The process that started this worker, with the time of its start.
    engine: String,
    memory_kills: MemoryKills,
    /// Name of the log of this attempt, which lies beside the scratch folder.
    #[serde(default)]
    log: String,
    lines: Vec<u64>,
}

impl Note {
    /// Why the process died that left the note. The kernel kills, or refuses memory.
    fn cause(&self, logs: &Path) -> Cause {
        match self.memory_kills.has_grown() || ended_without_memory(&logs.join(&self.log)) {
            true => Cause::OutOfMemory,
            false => Cause::Crash,
        }
    }
}

/// How an earlier attempt died.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::infer) enum Cause {
    Crash,
    OutOfMemory,
}

/// Deaths of workers, by the line that was in flight.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(in crate::infer) struct Deaths(pub BTreeMap<u64, u32>);

/// A death that was found at the start of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::infer) struct Death {
    pub cause: Cause,
    pub lines: Vec<u64>,
}

impl Deaths {
    /// Charges a death to the rows that were in flight.
    pub(in crate::infer) fn charge(&mut self, death: &Death) {
        for line in &death.lines {
            *self.0.entry(*line).or_default() += 1;
        }
    }

    /// True if the row must run alone.
    pub(in crate::infer) fn suspects(&self, line: u64) -> bool {
        self.0.contains_key(&line)
    }

    /// The error of a row that is given up.
    pub(in crate::infer) fn verdict(&self, line: u64, last: Option<&Death>) -> Option<RowError> {
        let deaths = *self.0.get(&line)?;
        let alone = last.filter(|death| death.lines == [line]);
        match alone {
            Some(Death { cause: Cause::OutOfMemory, .. }) if deaths > 1 => {
                let message = "This request needs more memory than there is, even when it runs alone.";
                Some(RowError::new(Code::OutOfMemory, message))
            }
            _ if deaths >= MOST_DEATHS => {
                let message = format!("The worker died {deaths} times while it worked on this request.");
                Some(RowError::new(Code::RequestCrashed, message))
            }
            _ => None,
        }
    }
}

/// The file of one step.
pub(in crate::infer) struct InFlight {
    path: PathBuf,
    note: Note,
}

impl InFlight {
    /// Reads what an earlier attempt left and starts an empty note. Returns the death of that attempt, unless it ended well or
    /// with its engine. `log` is that of this attempt.
    pub(in crate::infer) fn open(scratch: &Path, log: &Path) -> io::Result<(InFlight, Option<Death>)> {
        let logs = log.parent().unwrap_or(log);
        let path = scratch.join(FILE);
        let earlier: Option<Note> = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let engine = engine();
        let death = earlier
            .filter(|note| note.engine == engine && !note.lines.is_empty())
            .map(|note| Death { cause: note.cause(logs), lines: note.lines });
        let log = log.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let note = Note { engine, memory_kills: MemoryKills::count(), log, lines: Vec::new() };
        let own = InFlight { path, note };
        own.write()?;
        Ok((own, death))
    }

    /// Notes the rows that are in flight from now on. A killed process leaves the note; a power cut is no row's fault.
    pub(in crate::infer) fn set(&mut self, lines: impl IntoIterator<Item = u64>) -> io::Result<()> {
        let lines: Vec<u64> = lines.into_iter().collect();
        if lines == self.note.lines {
            return Ok(());
        }
        self.note.lines = lines;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.note)?;
        let next = self.path.with_extension("next");
        around!("batch.in_flight.write", fs::write(&next, text).and_then(|()| fs::rename(&next, &self.path)))
    }
}

/// Names the parent of this process. A number alone may be that of another process after a restart.
fn engine() -> String {
    let parent = std::os::unix::process::parent_id();
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    // Fields after the name in parentheses, which may contain anything: the start is the 20th of them.
    let started = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)).unwrap_or("-");
    format!("{parent} {started}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The note of an attempt with this number.
    fn open(dir: &Path, attempt: u32) -> (InFlight, Option<Death>) {
        InFlight::open(dir, &dir.join(format!("attempt-{attempt}.log"))).unwrap()
    }

    #[test]
    fn a_worker_that_dies_alone_leaves_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let (mut first, death) = open(dir.path(), 1);
        assert_eq!(death, None);
        first.set([3, 5]).unwrap();
        let (mut second, death) = open(dir.path(), 2);
        assert_eq!(death, Some(Death { cause: Cause::Crash, lines: vec![3, 5] }));
        second.set([3]).unwrap();
        second.set([]).unwrap();
        assert_eq!(open(dir.path(), 3).1, None, "this one ended well");
    }

    #[test]
    fn the_log_of_the_attempt_that_died_tells_that_the_system_refused_memory() {
        let dir = tempfile::tempdir().unwrap();
        for (attempt, said, cause) in [
            (1, "memory allocation of 4096 bytes failed\n", Cause::OutOfMemory),
            (2, "thread 'main' has overflowed its stack\n", Cause::Crash),
        ] {
            let (mut own, _) = open(dir.path(), attempt);
            own.set([1, 2]).unwrap();
            fs::write(dir.path().join(format!("attempt-{attempt}.log")), said).unwrap();
            let (mut next, death) = open(dir.path(), attempt + 1);
            assert_eq!(death, Some(Death { cause, lines: vec![1, 2] }));
            next.set([]).unwrap();
        }
    }

    #[test]
    fn rows_of_a_worker_that_died_with_its_engine_are_not_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut own, _) = open(dir.path(), 1);
        own.note.engine = "1 another".to_owned();
        own.set([1]).unwrap();
        assert_eq!(open(dir.path(), 3).1, None);
        fs::write(dir.path().join(FILE), b"{torn").unwrap();
        assert_eq!(open(dir.path(), 3).1, None);
    }

    #[test]
    fn three_deaths_or_one_for_memory_alone_give_a_row_up() {
        let (mut deaths, both) = (Deaths::default(), Death { cause: Cause::Crash, lines: vec![1, 2] });
        deaths.charge(&both);
        assert!(deaths.suspects(1) && deaths.suspects(2) && !deaths.suspects(3));
        let alone = |cause| Death { cause, lines: vec![1] };
        deaths.charge(&alone(Cause::Crash));
        assert_eq!(deaths.verdict(1, Some(&alone(Cause::Crash))), None);
        assert_eq!(deaths.verdict(1, Some(&alone(Cause::OutOfMemory))).unwrap().code, Code::OutOfMemory);
        deaths.charge(&alone(Cause::Crash));
        assert_eq!(deaths.verdict(1, None).unwrap().code, Code::RequestCrashed);
        assert_eq!(deaths.verdict(2, Some(&both)), None);
    }
}
