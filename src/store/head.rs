//! The head of the event log, kept outside of the database. SQLite cannot notice that its newest
//! commits are gone (a truncated or bit-flipped WAL ends early, as after a crash); this file can.
//!
//! It is overwritten in place after each commit, without fsync: it may be older than the database,
//! after a power cut or a kill, but never newer.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::faults::around;

use super::error::StoreError;
use super::layout::HEAD_FILE;

/// Within one disk sector, so that a write is not torn.
const LENGTH: usize = 128;

/// The newest event and its hash. `seq` 0: no event yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: String,
    /// Commits without an event: metrics, leases, requests.
    #[serde(default)]
    pub(super) quiet: i64,
}

/// What the file says.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Recorded {
    /// New state, or somebody removed the file to accept a loss.
    Nothing,
    Head(Head),
    Unreadable,
}

/// What was recorded at the last commit.
pub(super) fn read(state_dir: &Path) -> Result<Recorded, StoreError> {
    let path = state_dir.join(HEAD_FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Recorded::Nothing),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    // Empty: the process was killed right after it created the file, before any commit with it.
    if text.is_empty() {
        return Ok(Recorded::Nothing);
    }
    Ok(serde_json::from_slice(&text).map_or(Recorded::Unreadable, Recorded::Head))
}

#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    path: PathBuf,
}

impl HeadFile {
    /// Opens the file; when it is new, its existence and `head` are durable on return.
    pub(super) fn open(state_dir: &Path, head: &Head) -> Result<HeadFile, StoreError> {
        let path = state_dir.join(HEAD_FILE);
        let failed = |error| StoreError::io("write", &path, error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let new = file.metadata().map_err(failed)?.len() == 0;
        let head_file = HeadFile { file, path: path.clone() };
        head_file.write(head).map_err(failed)?;
        if new {
            around!("store.head.fsync", head_file.file.sync_all()).map_err(failed)?;
            let sync_folder = || File::open(state_dir)?.sync_all();
            around!("store.head.fsync_folder", sync_folder()).map_err(failed)?;
        }
        Ok(head_file)
    }

    pub(super) fn write(&self, head: &Head) -> io::Result<()> {
        let mut line = serde_json::to_vec(head)?;
        line.resize(LENGTH - 1, b' ');
        line.push(b'\n');
        around!("store.head.write", self.file.write_all_at(&line, 0))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
