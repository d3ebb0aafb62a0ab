//! `stepwell logs [RUN [STEP]] [-f]`

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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
const PART: usize = 64 << 10;

pub fn logs(session: &Session, args: &LogsArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    if let Some(step) = &args.step
        && !reader.steps(id)?.iter().any(|row| row.id.as_str() == step)
    {
        return Err(CliError::not_found(format!("run {id} has no step `{step}`"))
            .hint(format!("`stepwell show {}` lists its steps", args.run)));
    }
    let mut followed: BTreeMap<PathBuf, Follower> = BTreeMap::new();
    loop {
        // Asked before reading, so that what was written up to the end of the run is still printed.
        let ended = !reader.run(id)?.status.is_active();
        for (label, path) in files(session, &reader, id, args.step.as_deref())? {
            let follower = match followed.entry(path) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let log = File::open(new.key())?;
                    new.insert(Follower { label, log, offset: 0, dropped: 0 })
                }
            };
            follower.print()?;
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

/// What is new in a log. The file stays open: when the attempt has ended, a shorter one may take its place.
struct Follower {
    label: String,
    log: File,
    offset: u64,
    /// Since the last byte that was printed.
    dropped: u64,
}

impl Follower {
    fn print(&mut self) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        let mut part = vec![0; PART];
        // A file system without holes has the log cut instead.
        self.offset = self.offset.min(self.log.metadata()?.len());
        loop {
            self.skip_hole();
            self.log.seek(SeekFrom::Start(self.offset))?;
            let count = self.log.read(&mut part)?;
            if count == 0 {
                return Ok(out.flush()?);
            }
            if self.offset == 0 {
                writeln!(out, "==> {}", self.label)?;
            }
            self.offset += count as u64;
            // Dropped between the search for the hole's end and the read.
            if part[..count].iter().all(|byte| *byte == 0) {
                self.dropped += count as u64;
                continue;
            }
            if self.dropped > 0 {
                writeln!(out, "\n[stepwell: {} bytes of this log were dropped, see `log_limit`]", self.dropped)?;
                self.dropped = 0;
            }
            out.write_all(&part[..count])?;
        }
    }

    #[cfg(target_os = "linux")]
    fn skip_hole(&mut self) {
        if let Ok(data) = rustix::fs::seek(&self.log, rustix::fs::SeekFrom::Data(self.offset)) {
            self.dropped += data - self.offset;
            self.offset = data;
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn skip_hole(&mut self) {}
}
