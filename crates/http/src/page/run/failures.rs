//! What made a run fail: the steps, the last lines of their logs, and the commands that help.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::super::parts::{command, handle};
use super::super::runs::encoded;
use super::steps::href;
use crate::problem::Problem;
use stepwell_base::excerpt::plain_line;
use stepwell_base::visible::visible;
use stepwell_run::status::StepStatus;
use stepwell_store::{Reader, RunRow, StepCounts, StepFilter, StepPage, StepRow, attempt_log};

/// Failed steps with all that is known about them.
const MOST: usize = 3;
/// Failed steps that are looked at.
const MOST_LOOKED_AT: usize = 50;
/// Bytes and lines at the end of a log.
const TAIL: u64 = 16 << 10;
const LINES: usize = 20;

pub struct Failure {
    pub step: String,
    pub href: String,
    pub log_href: String,
    pub what: String,
    pub message: String,
    pub hint: Option<String>,
    pub log: String,
    pub commands: Vec<String>,
}

/// The first failed steps, and how many more there are. A fan-out that failed with its items does not count.
pub fn failures(reader: &Reader, run: &RunRow, counts: &StepCounts) -> Result<(Vec<Failure>, u64), Problem> {
    let filter = StepFilter { status: Some(StepStatus::Failed), text: None };
    let StepPage { steps: mut failed, next } = reader.step_page(run.id, &filter, None, MOST_LOOKED_AT)?;
    failed.retain(|step| step.children.is_none_or(|children| children.failed == 0));
    let handle = handle(reader, run);
    let shown: Vec<Failure> =
        failed.iter().take(MOST).map(|step| failure(reader.state_dir(), run, step, &handle)).collect();
    let all = if next.is_some() { counts.failed } else { failed.len() as u64 };
    let more = all.saturating_sub(shown.len() as u64);
    Ok((shown, more))
}

fn failure(state_dir: &Path, run: &RunRow, step: &StepRow, handle: &str) -> Failure {
    let told = step.failure.as_ref();
    let message = told.map(|failure| visible(&failure.to_string()).into_owned()).unwrap_or_default();
    let log = last_lines(&attempt_log(state_dir, run.id, &step.id, step.attempts)).unwrap_or_default();
    // The message of a command ends with the same lines.
    let log = if message.contains(log.trim()) { String::new() } else { log };
    let attempts = if step.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", step.attempts) };
    Failure {
        step: step.id.to_string(),
        href: href(run.id, &step.id),
        log_href: format!("/runs/{}/logs?step={}", run.id, encoded(step.id.as_str())),
        what: attempts,
        message,
        hint: told.and_then(|failure| failure.hint.as_ref()).map(|hint| visible(hint).into_owned()),
        log,
        commands: vec![command("logs", [handle, step.id.as_str()]), command("retry", [handle, step.id.as_str()])],
    }
}

/// The last lines of a log as plain text.
fn last_lines(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut end = Vec::new();
    file.take(TAIL).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    let mut lines: Vec<&str> = text.lines().collect();
    if size > TAIL && lines.len() > 1 {
        lines.remove(0);
    }
    let first = lines.len().saturating_sub(LINES);
    Ok(lines[first..].iter().map(|line| plain_line(line)).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_plain_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut text: String = (0..40).map(|number| format!("line {number}\n")).collect();
        text.push_str("10 %\r20 %\n\x1b[31mred\x1b[0m <b>\n");
        std::fs::write(&path, text).unwrap();
        let end = last_lines(&path).unwrap();
        assert!(end.starts_with("line 22\n") && end.ends_with("\n20 %\nred <b>"), "{end}");
        assert!(last_lines(&folder.path().join("none")).is_err());
    }
}
