//! Progress of commands, which a program writes to a file.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::Reporter;
use stepwell_artifact::open_regular;
use stepwell_base::protocol::Progress;

/// Bytes read from the end of the file; they hold the last line.
const LONGEST_TAIL: u64 = 4 << 10;

/// Reads `$STEPWELL_PROGRESS`: lines `DONE TOTAL UNIT MESSAGE`, written as often as the program likes.
pub(in crate::command) struct ProgressFile {
    path: PathBuf,
    last: String,
}

impl ProgressFile {
    pub(in crate::command) fn new(path: PathBuf) -> ProgressFile {
        ProgressFile { path, last: String::new() }
    }

    /// Reads only the end of the file, because a program may append to it for weeks.
    fn tail(&self) -> Option<String> {
        let mut file = open_regular(&self.path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.take(LONGEST_TAIL).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reports new progress. Ignores a line that is half-written or malformed: it is no reason to stop a program.
    pub(in crate::command) fn report(&mut self, reporter: &mut dyn Reporter) {
        let Some(text) = self.tail() else { return };
        if text != self.last
            && text.ends_with('\n')
            && let Some(progress) = parse(&text)
        {
            reporter.progress(progress);
            self.last = text;
        }
    }
}

fn parse(text: &str) -> Option<Progress> {
    let mut words = text.lines().last()?.split_whitespace();
    let done = words.next()?.parse().ok()?;
    let total = words.next()?.parse().ok()?;
    let unit = words.next().unwrap_or("units").to_owned();
    Some(Progress { done, total, unit, message: words.collect::<Vec<_>>().join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_nonsense_is_passed_over() {
        let progress = parse("1 10 pages\n2 10 pages\n").unwrap();
        assert_eq!((progress.done, progress.total, progress.unit.as_str()), (2, 10, "pages"));
        let progress = parse("3 9\n").unwrap();
        assert_eq!((progress.unit.as_str(), progress.message.as_str()), ("units", ""));
        assert_eq!(parse("3 9 steps  val loss\t2.5\n").unwrap().message, "val loss 2.5");
        for nonsense in ["", "\n", "half\n", "5\n", "-1 2\n"] {
            assert_eq!(parse(nonsense), None, "{nonsense:?}");
        }
    }
}
