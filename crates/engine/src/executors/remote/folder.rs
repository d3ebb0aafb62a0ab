//! The files of one attempt elsewhere. Each has one writer, which only appends; readers open a file again for each look, because a
//! network file system shows new content only then.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use stepwell_base::ids::Fence;
use stepwell_base::json::{self, Limit};
use stepwell_run::event::ProcessIdentity;

use super::messages::{Head, Job};
use crate::executors::process::identify;

const REQUEST: &str = "request.json";
const ORDERS: &str = "orders";
const TOLD: &str = "told";
const STARTED: &str = "started";
const SUBMITTED: &str = "submitted";
const TAKEN: &str = "taken";
/// Output of the agent itself.
pub(super) const AGENT_LOG: &str = "agent.log";
const PREFIX: &str = "job-";
/// Most bytes of one look at a file.
pub(super) const MOST_READ: u64 = 4 << 20;

/// The folder `job-FENCE` beside the scratch files of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct JobFolder(PathBuf);

/// The agent that runs an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Claim {
    pub process: Option<ProcessIdentity>,
    /// Number of its Slurm job.
    pub job: Option<String>,
}

impl JobFolder {
    pub(crate) fn of(scratch_dir: &Path, fence: Fence) -> JobFolder {
        let step_dir = scratch_dir.parent().unwrap_or(scratch_dir);
        JobFolder(step_dir.join(format!("{PREFIX}{}", fence.0)))
    }

    pub(super) fn at(path: &Path) -> JobFolder {
        JobFolder(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn request(&self) -> PathBuf {
        self.0.join(REQUEST)
    }

    pub(super) fn orders(&self) -> PathBuf {
        self.0.join(ORDERS)
    }

    pub(super) fn told(&self) -> PathBuf {
        self.0.join(TOLD)
    }

    /// Creates the folder with the request as its only file. Arguments are nobody else's business.
    pub(super) fn create(&self, job: &Job) -> io::Result<()> {
        self.remove_earlier();
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let draft = self.0.join("request.draft");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(job)?)?;
        // No failpoint: without a request, an attempt that was counted is released at no cost.
        file.sync_all()?;
        // No failpoint: as above.
        fs::rename(draft, self.request())
    }

    /// Removes the folders of earlier attempts of the step. They are dead, and nothing reads them again.
    fn remove_earlier(&self) {
        let entries = self.0.parent().and_then(|parent| fs::read_dir(parent).ok()).into_iter().flatten().flatten();
        let is_job = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        for folder in entries.filter(is_job).map(|entry| entry.path()).filter(|path| *path != self.0) {
            // A folder that stays costs only space.
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// Returns `None` without a request: the attempt was never given to an executor, or runs here.
    ///
    /// # Errors
    /// When the request cannot be read.
    pub(super) fn read_job(&self) -> Result<Option<Job>, String> {
        let Some(text) = self.read_request()? else { return Ok(None) };
        json::parse(&text, Limit::STORED).map(Some).map_err(|error| self.unreadable(&error))
    }

    /// Returns the name of the executor that has the attempt; `None` if none has.
    ///
    /// # Errors
    /// When the request cannot be read.
    pub(in crate::executors) fn executor(&self) -> Result<Option<String>, String> {
        Ok(self.read_head()?.map(|head| head.executor))
    }

    /// Reads what every build can read of the request.
    ///
    /// # Errors
    /// When the request cannot be read.
    pub(super) fn read_head(&self) -> Result<Option<Head>, String> {
        #[derive(serde::Deserialize)]
        struct Headed {
            head: Head,
        }
        let Some(text) = self.read_request()? else { return Ok(None) };
        let read = json::parse::<Headed>(&text, Limit::STORED);
        read.map(|headed| Some(headed.head)).map_err(|error| self.unreadable(&error))
    }

    fn read_request(&self) -> Result<Option<Vec<u8>>, String> {
        let mut text = Vec::new();
        let read =
            File::open(self.request()).and_then(|file| file.take(Limit::STORED.bytes + 1).read_to_end(&mut text));
        match read {
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> String {
        format!("`{}` cannot be read: {error}", self.request().display())
    }

    /// Records that the attempt is about to be submitted. From now on, silence says nothing about it.
    pub(super) fn record_submission(&self) -> io::Result<()> {
        OpenOptions::new().create(true).append(true).open(self.0.join(SUBMITTED)).map(drop)
    }

    pub(super) fn is_submitted(&self) -> bool {
        self.0.join(SUBMITTED).exists()
    }

    /// Takes the attempt for this agent. False if another agent has it: a job that was submitted twice runs once.
    pub(super) fn claim(&self) -> io::Result<bool> {
        match OpenOptions::new().create_new(true).write(true).open(self.0.join(STARTED)) {
            Ok(mut file) => {
                let job = std::env::var("SLURM_JOB_ID").ok();
                serde_json::to_writer(&mut file, &Claim { process: identify(std::process::id()), job })?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns what the agent that has the attempt says about itself.
    pub(super) fn agent(&self) -> Option<Claim> {
        serde_json::from_slice(&fs::read(self.0.join(STARTED)).ok()?).ok()
    }

    pub(super) fn is_claimed(&self) -> bool {
        self.0.join(STARTED).exists()
    }

    /// Records that the engine has committed everything up to this byte of `told`.
    pub(super) fn record_taken(&self, offset: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(self.0.join(TAKEN))?;
        // Of fixed length, so that no mixture of two numbers can be read.
        file.write_all(format!("{offset:020}").as_bytes())
    }

    pub(super) fn taken(&self) -> u64 {
        fs::read_to_string(self.0.join(TAKEN)).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// Appends one line.
pub(super) fn append(path: &Path, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    append_bytes(path, &text)
}

pub(super) fn append_bytes(path: &Path, text: &[u8]) -> io::Result<()> {
    // Closed after each line: only then does a network file system show it to other machines.
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let before = file.metadata()?.len();
    // Half a line of a full disk would spoil the next one.
    file.write_all(text).inspect_err(|_| drop(file.set_len(before)))
}

/// Returns up to [`MOST_READ`] bytes from `offset`; none while the file does not exist.
pub(super) fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(bytes),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    file.take(MOST_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The complete lines of a file that grows, each with the offset behind it.
#[derive(Debug)]
pub(super) struct Lines {
    /// Bytes read so far.
    offset: u64,
    /// Start of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Lines {
    pub(super) fn from(offset: u64) -> Lines {
        Lines { offset, rest: Vec::new() }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds bytes that follow those so far.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let mut end = self.offset;
        self.offset += bytes.len() as u64;
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            end += piece.len() as u64;
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
                lines.push((std::mem::take(&mut self.rest), end));
            }
        }
        lines
    }

    /// True when the line so far exceeds what may be read.
    pub(super) fn is_too_long(&self) -> bool {
        self.rest.len() as u64 > Limit::STORED.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_know_where_they_end() {
        let mut lines = Lines::from(10);
        assert_eq!(lines.add(b"ab"), []);
        assert_eq!(lines.add(b"c\nd\ne"), [(b"abc".to_vec(), 14), (b"d".to_vec(), 16)]);
        assert_eq!(lines.add(b"\n"), [(b"e".to_vec(), 18)]);
        assert_eq!(lines.offset(), 18);
    }

    #[test]
    fn one_agent_gets_an_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let folder = JobFolder::at(dir.path());
        assert!(!folder.is_claimed());
        assert!(folder.claim().unwrap());
        assert!(!folder.claim().unwrap(), "a second job of the same attempt");
        assert!(folder.is_claimed());
    }

    #[test]
    fn what_was_taken_survives() {
        let dir = tempfile::tempdir().unwrap();
        let folder = JobFolder::at(dir.path());
        assert_eq!(folder.taken(), 0);
        folder.record_taken(123_456).unwrap();
        folder.record_taken(123_457).unwrap();
        assert_eq!(folder.taken(), 123_457);
    }
}
