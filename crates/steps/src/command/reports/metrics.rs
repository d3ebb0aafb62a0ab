//! Metrics of commands, which a program appends to a file.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::Reporter;
use stepwell_artifact::open_regular;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{Measurement, SeriesChange};

use super::line::{LONGEST_LINE, Refused, parse};

/// Bytes read at once; bounds what an attempt sends to the engine between two checks of the program.
const PART: u64 = 64 << 10;
/// Time between two parts of what is left at the end, so that the engine keeps up.
const PAUSE: Duration = Duration::from_millis(10);
/// Maximum number of different names in a file.
const MOST_NAMES: usize = 100;

/// Reads `$STEPWELL_METRICS` of one attempt.
pub(in crate::command) struct MetricsFile {
    path: PathBuf,
    /// End of the last line that was read.
    offset: u64,
    lines: u64,
    names: BTreeSet<String>,
    /// The first line of an attempt voids what earlier attempts reported from its step on.
    started: bool,
    /// Skip lines until one reaches this step: those before are committed.
    committed: Option<u64>,
}

/// The end of one read.
#[derive(PartialEq, Eq)]
enum Left {
    Nothing,
    More,
}

impl MetricsFile {
    pub(in crate::command) fn new(path: PathBuf) -> MetricsFile {
        MetricsFile::behind(path, None)
    }

    /// A file of an earlier attempt, with the last step that is committed.
    pub(super) fn behind(path: PathBuf, committed: Option<u64>) -> MetricsFile {
        MetricsFile { path, offset: 0, lines: 0, names: BTreeSet::new(), started: false, committed }
    }

    pub(super) fn committed(&self) -> Option<u64> {
        self.committed
    }

    /// Reports some of the new lines.
    ///
    /// # Errors
    /// A fatal failure that names the line that cannot be used.
    pub(in crate::command) fn report(&mut self, reporter: &mut dyn Reporter) -> Result<(), Failure> {
        self.read(reporter).map(drop)
    }

    /// Reports all complete lines.
    ///
    /// # Errors
    /// Those of [`MetricsFile::report`].
    pub(in crate::command) fn report_all(&mut self, reporter: &mut dyn Reporter) -> Result<(), Failure> {
        while self.read(reporter)? == Left::More {
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Reports everything once nothing writes to the file. The last line may lack its end.
    ///
    /// # Errors
    /// Those of [`MetricsFile::report`].
    pub(in crate::command) fn finish(&mut self, reporter: &mut dyn Reporter) -> Result<(), Failure> {
        self.report_all(reporter)?;
        let rest = self.next_part()?;
        if !rest.is_empty() {
            self.offset += rest.len() as u64;
            self.lines += 1;
            if let Some(row) = self.row(rest.trim_ascii())? {
                self.send(row, reporter);
            }
        }
        Ok(())
    }

    /// The bytes behind the last line that was read, up to a limit.
    fn next_part(&mut self) -> Result<Vec<u8>, Failure> {
        let mut file = match open_regular(&self.path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&error).with_hint(error.hint())),
        };
        let length = file.metadata().map_err(|error| unreadable(&error))?.len();
        if length < self.offset {
            // The program has started the file over.
            (self.offset, self.lines) = (0, 0);
        }
        let mut part = Vec::new();
        if length > self.offset {
            file.seek(SeekFrom::Start(self.offset)).map_err(|error| unreadable(&error))?;
            file.take(PART).read_to_end(&mut part).map_err(|error| unreadable(&error))?;
        }
        Ok(part)
    }

    fn read(&mut self, reporter: &mut dyn Reporter) -> Result<Left, Failure> {
        let part = self.next_part()?;
        let complete = part.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in part[..complete].split_inclusive(|byte| *byte == b'\n') {
            self.offset += line.len() as u64;
            self.lines += 1;
            if let Some(row) = self.row(line.trim_ascii())? {
                self.send(row, reporter);
            }
        }
        if part.len() - complete > LONGEST_LINE {
            self.lines += 1;
            return Err(self.refused(&Refused::TooLong));
        }
        Ok(if part.len() as u64 == PART { Left::More } else { Left::Nothing })
    }

    /// The row of a line that has something to report.
    fn row(&mut self, line: &[u8]) -> Result<Option<Measurement>, Failure> {
        if line.is_empty() {
            return Ok(None);
        }
        let row = parse(line).map_err(|refused| self.refused(&refused))?;
        for name in row.values.keys() {
            if !self.names.contains(name) {
                self.names.insert(name.clone());
            }
        }
        if self.names.len() > MOST_NAMES {
            let message = format!("{}: more than {MOST_NAMES} different names", self.place());
            return Err(Failure::fatal(message).with_hint("a series is one name with many steps; report fewer names"));
        }
        Ok((!row.values.is_empty()).then_some(row))
    }

    fn send(&mut self, row: Measurement, reporter: &mut dyn Reporter) {
        let is_first = !std::mem::replace(&mut self.started, true);
        if self.committed.is_some_and(|committed| row.train_step < committed) {
            return;
        }
        self.committed = None;
        if is_first {
            reporter.series(SeriesChange::Void { from: row.train_step });
        }
        reporter.series(SeriesChange::Add(row));
    }

    fn place(&self) -> String {
        format!("$STEPWELL_METRICS (`{}`), line {}", self.path.display(), self.lines)
    }

    fn refused(&self, refused: &Refused) -> Failure {
        let hint = "append one object per line, such as {\"step\": 10, \"loss\": 2.3, \"val_loss\": 2.4}";
        Failure::fatal(format!("{}: {refused}", self.place())).with_hint(hint)
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::fatal(format!("cannot read $STEPWELL_METRICS: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    use tempfile::TempDir;

    use super::super::earlier::{catch_up, metrics_file};
    use super::*;
    use crate::tests::Recorder;
    use stepwell_base::failure::FailureKind;

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(step: u64) -> String {
        format!("{{\"step\": {step}, \"loss\": 0.5}}\n")
    }

    /// Reported steps; a negative number is the step from which earlier rows are void.
    fn steps(recorder: &mut Recorder) -> Vec<i64> {
        let step = |change| match change {
            SeriesChange::Add(row) => row.train_step.cast_signed(),
            SeriesChange::Void { from } => -from.cast_signed(),
            SeriesChange::Samples(_) => panic!("a program writes no texts"),
        };
        std::mem::take(&mut recorder.series).into_iter().map(step).collect()
    }

    #[test]
    fn lines_are_reported_once_they_are_complete() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("m");
        let (mut file, mut recorder) = (MetricsFile::new(path.clone()), Recorder::default());
        file.report(&mut recorder).unwrap();
        append(&path, &format!("{}\n{{\"step\": 6}}\n{}", line(5), &line(7)[..9]));
        file.report(&mut recorder).unwrap();
        assert_eq!(steps(&mut recorder), [-5, 5]);
        append(&path, &format!("{}{}", &line(7)[9..], line(8).trim_end()));
        file.report_all(&mut recorder).unwrap();
        assert_eq!(steps(&mut recorder), [7]);
        file.finish(&mut recorder).unwrap();
        file.finish(&mut recorder).unwrap();
        assert_eq!(steps(&mut recorder), [8]);
        fs::write(&path, line(9)).unwrap();
        file.finish(&mut recorder).unwrap();
        assert_eq!(steps(&mut recorder), [9], "a file that starts over is read from its start");
    }

    #[test]
    fn a_refusal_names_file_and_line() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("m");
        let mut recorder = Recorder::default();
        append(&path, &format!("{}\n{}{{\"step\": 3, \"loss\": \"low\"}}\n{}", line(1), line(2), line(4)));
        let failure = MetricsFile::new(path.clone()).report(&mut recorder).unwrap_err();
        assert!(failure.message.contains(&format!("`{}`), line 4: `loss` is text", path.display())), "{failure:?}");
        assert!(failure.kind == FailureKind::Fatal && failure.hint.is_some(), "{failure:?}");
        assert_eq!(steps(&mut recorder), [-1, 1, 2]);
        fs::write(&path, "x".repeat(LONGEST_LINE + 2)).unwrap();
        let failure = MetricsFile::new(path.clone()).report(&mut recorder).unwrap_err();
        assert!(failure.message.contains("line 1: the line has more than"), "{failure:?}");
        let names: String = (0..=MOST_NAMES).map(|name| format!("{{\"step\": {name}, \"n{name}\": 1}}\n")).collect();
        fs::write(&path, names).unwrap();
        let failure = MetricsFile::new(path.clone()).report(&mut recorder).unwrap_err();
        assert!(failure.message.contains("line 101: more than 100 different names"), "{failure:?}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(MetricsFile::new(path).report(&mut recorder).unwrap_err().message.contains("$STEPWELL_METRICS"));
    }

    #[test]
    fn many_lines_arrive_in_parts_and_complete() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("m");
        append(&path, &(1..=10_000).map(line).collect::<String>());
        let (mut file, mut recorder) = (MetricsFile::new(path), Recorder::default());
        file.report(&mut recorder).unwrap();
        let first = steps(&mut recorder).len();
        assert!((1000..5000).contains(&first), "{first}");
        file.report_all(&mut recorder).unwrap();
        assert_eq!(first + steps(&mut recorder).len(), 10_001);
    }

    #[test]
    fn the_next_attempt_reports_what_was_not_committed() {
        let dir = TempDir::new().unwrap();
        let write = |attempt, text: &str| fs::write(metrics_file(dir.path(), attempt), text).unwrap();
        let mut recorder = Recorder::default();
        let mut caught_up = |committed| {
            catch_up(dir.path(), 4, committed, &mut recorder);
            steps(&mut recorder)
        };
        let lines = |steps: std::ops::RangeInclusive<u64>| steps.map(line).collect::<String>();
        write(1, &lines(1..=5));
        // Attempt 2 was killed before its first line, attempt 3 in the middle of its last one.
        write(3, &format!("{}{}", lines(4..=7), &line(8)[..12]));
        assert_eq!(caught_up(None), [-1, 1, 2, 3, 4, 5, -4, 4, 5, 6, 7]);
        assert_eq!(caught_up(Some(3)), [3, 4, 5, -4, 4, 5, 6, 7]);
        assert_eq!(caught_up(Some(5)), [5, -4, 4, 5, 6, 7]);
        assert_eq!(caught_up(Some(6)), [6, 7]);
        assert!(caught_up(Some(8)).is_empty());
        // A late line for an old step is behind the line of the last committed step.
        write(3, &format!("{}{}{}", lines(4..=7), line(2), line(8)));
        assert_eq!(caught_up(Some(7)), [7, 2, 8]);
    }
}
