//! Brings the files of a phase up to date with its runs. Its runs are those with its tag, so a run that was killed, or that
//! another process has continued, is written down by the next look.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::Value;

use super::folder::{LOG, Phase, RESULTS};
use crate::error::CliError;
use crate::session::Session;
use crate::view::event_text::describe;
use crate::view::fan_out::MOST_CHILDREN;
use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow, StepRow};

/// Bytes of a file that are read.
const LARGEST: u64 = 64 << 20;

/// The tag of the runs of a phase.
pub fn tag_of(phase: &Phase) -> Result<Tag, CliError> {
    format!("phase:{}", phase.name).parse().map_err(|error| {
        CliError::usage(error)
            .hint("the name of a phase becomes a tag of its runs: at most 58 bytes, without spaces and commas")
    })
}

/// Adds to `run.log` what has happened to the runs of the phase since, and to `RESULTS.md` those that have succeeded.
/// Returns the runs, oldest first.
///
/// # Errors
/// When a file cannot be written.
pub fn write(session: &Session, phase: &Phase) -> Result<Vec<RunRow>, CliError> {
    let reader = session.reader()?;
    let runs = reader.runs_tagged(&tag_of(phase)?)?;
    let runs = runs.into_iter().map(|run| reader.run(run)).collect::<Result<Vec<RunRow>, _>>()?;
    if !runs.is_empty() {
        append(&reader, &phase.path.join(LOG), &runs)?;
        add_results(&reader, &phase.path, &runs)?;
    }
    Ok(runs)
}

/// Each line is `TIME RUN #EVENT TEXT`.
fn append(reader: &Reader, path: &Path, runs: &[RunRow]) -> Result<(), CliError> {
    let failed = |error| CliError::io("write", path, error);
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)?;
    // Two processes must not add the same events.
    file.lock().map_err(failed)?;
    let mut known = String::new();
    let length = (&mut file).take(LARGEST + 1).read_to_string(&mut known).map_err(failed)? as u64;
    if length > LARGEST {
        return Err(CliError::failed(format!("`{}` has more than 64 MiB", path.display())).hint("move it aside"));
    }
    // A killed process may have left half a line.
    let whole = known.rfind('\n').map_or(0, |end| end + 1);
    let last = last_events(&known[..whole]);
    file.set_len(whole as u64).map_err(failed)?;
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut text = String::new();
    for run in runs {
        let mut after = last.get(&run.id.to_string()).copied().unwrap_or(0);
        loop {
            let page = reader.events_page(Some(run.id), after, 1000)?;
            let Some(newest) = page.last() else { break };
            after = newest.seq;
            for row in &page {
                let Some(said) = describe(&row.event) else { continue };
                let at = row.at.strftime("%Y-%m-%dT%H:%M:%SZ");
                let said = said.replace('\n', " | ");
                text.push_str(&format!("{at} {} #{} {}: {said}\n", run.id, row.seq, run.name));
            }
        }
    }
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// The newest event of each run that a log has.
fn last_events(log: &str) -> BTreeMap<String, i64> {
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for line in log.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(run), Some(event)) = (words.next(), words.next()) else { continue };
        let Some(event) = event.strip_prefix('#').and_then(|event| event.parse().ok()) else { continue };
        if run.parse::<RunId>().is_ok() {
            let newest = last.entry(run.to_owned()).or_insert(0);
            *newest = (*newest).max(event);
        }
    }
    last
}

/// Adds a section for each succeeded run that the file does not name yet. What a person wrote stays.
fn add_results(reader: &Reader, folder: &Path, runs: &[RunRow]) -> Result<(), CliError> {
    let path = folder.join(RESULTS);
    let failed = |error| CliError::io("write", &path, error);
    let known = match fs::read_to_string(&path) {
        Ok(known) => known,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut text = known.clone();
    for run in runs.iter().filter(|run| run.status == RunStatus::Succeeded && run.pruned_at.is_none()) {
        if !known.contains(&run.id.to_string()) {
            let steps = reader.overview(run.id, MOST_CHILDREN)?;
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&section(run, &steps));
        }
    }
    if text == known {
        return Ok(());
    }
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    new.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn section(run: &RunRow, steps: &[StepRow]) -> String {
    let ended = run.finished_at.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    let mut text = format!("## {}\n\nRun `{}` of workflow `{}`, ended {ended}.\n", run.name, run.id, run.workflow);
    let values = |step: &StepRow| -> Vec<(String, String)> {
        let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
        let plain = values.filter(|(_, value)| matches!(value, Value::Number(_) | Value::Bool(_) | Value::String(_)));
        plain.map(|(name, value)| (format!("{}.{name}", step.id), cell(value))).collect()
    };
    let rows: Vec<(String, String)> = steps.iter().flat_map(values).collect();
    if !rows.is_empty() {
        text.push_str("\n| value | |\n|---|---|\n");
        rows.iter().for_each(|(name, value)| text.push_str(&format!("| {name} | {value} |\n")));
    }
    text
}

/// A value in a table: one line without bars.
fn cell(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.replace(['\n', '\r'], " ").replace('|', "\\|").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_which_events_it_has() {
        let (a, b) = ("018f0000-0000-7000-8000-00000000000a", "018f0000-0000-7000-8000-00000000000b");
        let log =
            format!("2026-01-01T00:00:00Z {a} #3 x: y\na person's line #9\nT {a} #12 x\nT {b} #5 z\nT {b} #no z\n");
        let last = last_events(&log);
        assert_eq!((last.len(), last[a], last[b]), (2, 12, 5));
    }

    #[test]
    fn a_value_stays_in_its_cell() {
        assert_eq!(cell(&Value::from("a|b\nc")), "a\\|b c");
        assert_eq!(cell(&Value::from(1.5)), "1.5");
    }
}
