//! `stepwell logs [RUN [STEP]] [-f]`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::args::LogsArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use crate::core::ids::RunId;
use crate::store::{Reader, attempt_log};

const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

pub fn logs(session: &Session, args: &LogsArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    if let Some(step) = &args.step
        && !reader.steps(id)?.iter().any(|row| row.id.as_str() == step)
    {
        return Err(CliError::not_found(format!("run {id} has no step `{step}`"))
            .hint(format!("`stepwell show {}` lists its steps", args.run)));
    }
    let mut printed: BTreeMap<PathBuf, u64> = BTreeMap::new();
    loop {
        // Asked before reading, so that what was written up to the end of the run is still printed.
        let ended = !reader.run(id)?.status.is_active();
        for (label, path) in files(session, &reader, id, args.step.as_deref())? {
            let offset = printed.entry(path.clone()).or_insert(0);
            *offset = print_from(&label, &path, *offset)?;
        }
        if !args.follow || ended {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

/// The log of every attempt, in step order, with a heading for each.
fn files(
    session: &Session,
    reader: &Reader,
    id: RunId,
    step: Option<&str>,
) -> Result<Vec<(String, PathBuf)>, CliError> {
    let steps = reader.steps(id)?;
    let mut files = Vec::new();
    for row in steps.iter().filter(|row| step.is_none_or(|step| row.id.as_str() == step)) {
        for attempt in 1..=row.attempts {
            let path = attempt_log(session.state_dir(), id, &row.id, attempt);
            if path.is_file() {
                files.push((format!("{} attempt {attempt}", row.id), path));
            }
        }
    }
    Ok(files)
}

fn print_from(label: &str, path: &PathBuf, offset: u64) -> Result<u64, CliError> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut new = Vec::new();
    file.read_to_end(&mut new)?;
    if new.is_empty() {
        return Ok(offset);
    }
    let mut out = std::io::stdout().lock();
    if offset == 0 {
        writeln!(out, "==> {label}")?;
    }
    out.write_all(&new)?;
    out.flush()?;
    Ok(offset + new.len() as u64)
}
