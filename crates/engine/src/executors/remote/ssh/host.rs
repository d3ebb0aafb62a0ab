//! One attempt on the host: submitted with a detached agent, read by offsets, so that a connection that drops loses nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::AttemptRequest;
use stepwell_workflow::executor::Ssh;

use super::super::folder::{AGENT_LOG, JobFolder, MOST_READ, append_bytes, read_from};
use super::super::host::{Host, HostError, JobState, Need, Place};
use super::super::messages::Job;
use super::super::other_side::{ABSENT, ENDED, RUNNING};
use super::content::Content;
use super::line::{Line, TRANSFER, quoted};
use super::project::Bundle;
use super::ready::{Known, Ready, ready, receive};
use crate::executors::executor::Exit;

/// Time between two looks at the log.
const LOG_PACE: Duration = Duration::from_secs(1);
/// Time between two looks at the host.
const PACE: Duration = Duration::from_millis(400);

pub(in super::super) struct SshHost {
    config: Ssh,
    line: Line,
    state_dir: PathBuf,
    known: Known,
    /// Bytes of the orders that the host has; `None` when it must be asked.
    ordered: Option<u64>,
    log_copied_at: Option<Instant>,
}

impl SshHost {
    pub(in super::super) fn new(config: Ssh, state_dir: PathBuf, known: &Known) -> SshHost {
        let line = Line::new(config.clone());
        SshHost { config, line, state_dir, known: known.clone(), ordered: None, log_copied_at: None }
    }

    fn ready(&self) -> Result<Ready, HostError> {
        ready(&self.line, &self.config, &self.known)
    }

    /// The counterpart of a path of the state directory.
    fn there(&self, ready: &Ready, path: &Path) -> String {
        let relative = path.strip_prefix(&self.state_dir).unwrap_or(path);
        format!("{}/state/{}", ready.root, relative.display())
    }

    fn content(&self, ready: &Ready, place: &Place) -> Result<Content<'_>, HostError> {
        Content::new(&self.line, &self.state_dir, &format!("{}/state", ready.root), place.id.holder())
    }

    /// The request with the paths of the host.
    fn translated(&self, ready: &Ready, job: &Job) -> Result<Job, HostError> {
        let mut translated = job.clone();
        let AttemptRequest { state_dir, scratch_dir, project_dir, .. } = &mut translated.request;
        *scratch_dir = self.there(ready, scratch_dir).into();
        *state_dir = format!("{}/state", ready.root).into();
        if !project_dir.as_os_str().is_empty() {
            *project_dir = Bundle::of(project_dir, &self.state_dir)?.push(&self.line, &ready.root)?.into();
        }
        // The log is copied by offsets, which a shortened log would move.
        translated.log_limit = 0;
        Ok(translated)
    }

    /// Appends the orders that the host lacks: how many it has, it says itself.
    fn sync_orders(&mut self, place: &Place) -> Result<(), HostError> {
        let there = quoted(&self.there(&self.ready()?, &place.folder.orders()));
        let has = match self.ordered.take() {
            Some(has) => has,
            None => {
                let has = self.line.shell(&format!("[ -f {there} ] && wc -c < {there} || echo 0"))?;
                String::from_utf8_lossy(&has).trim().parse().unwrap_or(0)
            }
        };
        let rest = read_from(&place.folder.orders(), has).map_err(|error| local(&error))?;
        let length = has + rest.len() as u64;
        if !rest.is_empty() {
            let script = format!("touch {there} && [ $(wc -c < {there}) -eq {has} ] && cat >> {there}");
            self.line.send(&script, io::Cursor::new(rest), TRANSFER)?;
        }
        self.ordered = Some(length);
        Ok(())
    }

    /// Copies up to [`MOST_READ`] bytes of the log. True if there may be more.
    fn copy_part(&self, ready: &Ready, job: &Job) -> Result<bool, HostError> {
        let log = job.request.log_path();
        let has = log.metadata().map_or(0, |metadata| metadata.len());
        let bytes = self.line.shell(&tail(&self.there(ready, &log), has))?;
        let full = bytes.len() as u64 == MOST_READ;
        if !bytes.is_empty() {
            let file = OpenOptions::new().create(true).append(true).open(&log);
            file.and_then(|mut file| file.write_all(&bytes)).map_err(|error| local(&error))?;
        }
        Ok(full)
    }
}

impl Host for SshHost {
    fn pace(&self) -> Duration {
        PACE
    }

    fn submit(&mut self, place: &Place, job: &Job) -> Result<(), HostError> {
        let ready = self.ready()?;
        self.content(&ready, place)?.push(&job.request)?;
        let translated = self.translated(&ready, job)?;
        let request = serde_json::to_vec(&translated).map_err(|error| local(&io::Error::other(error)))?;
        let folder = self.there(&ready, place.folder.path());
        let path = JobFolder::at(Path::new(&folder)).request();
        self.line.send(&receive(&path, request.len() as u64, "600"), io::Cursor::new(request), TRANSFER)?;
        let request = &translated.request;
        let here = if request.project_dir.as_os_str().is_empty() { &request.scratch_dir } else { &request.project_dir };
        let script = format!(
            "mkdir -p {scratch} && cd {here} && {{ setsid {program} worker remote {folder} </dev/null >>{log} 2>&1 & }}",
            scratch = quoted(&request.scratch_dir.to_string_lossy()),
            here = quoted(&here.to_string_lossy()),
            program = quoted(&ready.program),
            folder = quoted(&folder),
            log = quoted(&format!("{folder}/{AGENT_LOG}")),
        );
        self.line.shell(&script).map(drop)
    }

    fn look(&mut self, place: &Place) -> Result<JobState, HostError> {
        let ready = self.ready()?;
        let folder = quoted(&self.there(&ready, place.folder.path()));
        let program = quoted(&ready.program);
        let answer = self
            .line
            .shell(&format!("[ -d {folder} ] || {{ echo {ABSENT}; exit; }}; {program} worker look {folder}"))?;
        match String::from_utf8_lossy(&answer).trim() {
            ABSENT => Ok(JobState::Absent),
            RUNNING => Ok(JobState::Running),
            ENDED => {
                // An agent that was killed leaves it to others to prove that nothing of the attempt is left.
                self.kill(place)?;
                Ok(JobState::Ended(Exit::default()))
            }
            other => Err(HostError::Unreachable(format!("{} answers `{other}`", self.config.host))),
        }
    }

    fn kill(&mut self, place: &Place) -> Result<(), HostError> {
        let ready = self.ready()?;
        let folder = quoted(&self.there(&ready, place.folder.path()));
        let left = self.line.shell(&format!("{} worker end {folder}", quoted(&ready.program)))?;
        let left = String::from_utf8_lossy(&left).trim().to_owned();
        if left.is_empty() {
            return Ok(());
        }
        Err(HostError::Unreachable(format!("processes on {} cannot be ended: {left}", self.config.host)))
    }

    /// An agent that has started is never absent here.
    fn has_started(&mut self, place: &Place) -> Result<bool, HostError> {
        Ok(self.look(place)? != JobState::Absent)
    }

    fn told(&mut self, place: &Place, offset: u64) -> Result<Vec<u8>, HostError> {
        if self.ordered.is_none() {
            self.sync_orders(place)?;
        }
        self.line.shell(&tail(&self.there(&self.ready()?, &place.folder.told()), offset))
    }

    fn order(&mut self, place: &Place, lines: &[u8]) -> Result<(), HostError> {
        append_bytes(&place.folder.orders(), lines).map_err(|error| local(&error))?;
        // What does not get through now is sent before the next look.
        let _ = self.sync_orders(place);
        Ok(())
    }

    fn copy_log(&mut self, _place: &Place, job: &Job, need: Need) -> Result<(), HostError> {
        if need == Need::Soon && self.log_copied_at.is_some_and(|at| at.elapsed() < LOG_PACE) {
            return Ok(());
        }
        let ready = self.ready()?;
        while self.copy_part(&ready, job)? {}
        self.log_copied_at = Some(Instant::now());
        Ok(())
    }

    fn bring(&mut self, place: &Place, _job: &Job, artifacts: &[ArtifactRef]) -> Result<(), HostError> {
        let content = self.content(&self.ready()?, place)?;
        artifacts.iter().try_for_each(|artifact| content.bring(artifact))
    }
}

/// The script that prints a part of a file that may not exist yet.
fn tail(path: &str, offset: u64) -> String {
    let path = quoted(path);
    format!("[ -f {path} ] || exit 0; tail -c +{} {path} | head -c {MOST_READ}", offset + 1)
}

fn local(error: &io::Error) -> HostError {
    HostError::Refused(Failure::io("cannot use the folder of the attempt here", error))
}
