//! Errors of the store. A message states the problem; `hint` says how to fix it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::remark::MOST_TAGS;
use stepwell_base::shell::{quote, stepwell};
use stepwell_run::status::RunStatus;

use crate::holder::Holder;
use crate::layout::{BACKUPS_DIR, HEAD_FILE};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}", no_state(path))]
    NoState { path: PathBuf },
    #[error("`{}` is in use by {holder}", path.display())]
    Locked { path: PathBuf, holder: Holder },
    /// Only the holder of the engine lock may migrate, because a running engine of an older build does not know the new
    /// columns.
    #[error("`{}` has schema version {found} and cannot be brought to version {supported} now: it is in use by {holder}", path.display())]
    OlderSchema { path: PathBuf, found: u32, supported: u32, holder: Holder },
    #[error("`{}` has schema version {found}; this build reads versions up to {supported}", path.display())]
    NewerSchema { path: PathBuf, found: u32, supported: u32 },
    /// A committed event is missing from the database, or another event has replaced it.
    #[error("`{}` lost committed events: event {seq} was committed, {found}", path.display())]
    LostEvents { path: PathBuf, seq: i64, found: String },
    /// Commits of metrics, leases or requests are missing.
    #[error("`{}` lost {lost} commits of metrics, leases or requests", path.display())]
    LostCommits { path: PathBuf, lost: i64 },
    #[error("run {run}, step `{step}`: the metrics of training step {train_step} are damaged")]
    DamagedMetric { run: RunId, step: StepId, train_step: u64 },
    #[error("run {run}, step `{step}`: the texts of training step {train_step} are damaged")]
    DamagedSample { run: RunId, step: StepId, train_step: u64 },
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    #[error("there is no backup `{}`", path.display())]
    NoBackup { path: PathBuf },
    #[error("`{}` is damaged and was not used: {what}", path.display())]
    DamagedBackup { path: PathBuf, what: String },
    #[error("a restore of `{}` was interrupted", path.display())]
    UnfinishedRestore { path: PathBuf },
    #[error("run {run} was removed on {}: only its history is left", at.strftime("%Y-%m-%d %H:%M:%SZ"))]
    Pruned { run: RunId, at: jiff::Timestamp },
    #[error("no run matches `{text}`")]
    UnknownRun { text: String },
    #[error("`{text}` matches {} runs: {}", candidates.len(), list(candidates))]
    AmbiguousRun { text: String, candidates: Vec<RunId> },
    #[error("run {run} is kept")]
    Kept { run: RunId },
    #[error("run {run} would have {found} tags; a run has at most {MOST_TAGS}")]
    TooManyTags { run: RunId, found: usize },
    #[error("there is no schedule `{name}`")]
    UnknownSchedule { name: String },
    #[error("there is a schedule `{name}` already")]
    ScheduleExists { name: String },
    #[error("run {run} has no step `{step}`")]
    UnknownStep { run: RunId, step: StepId },
    #[error("`{text}` matches {count} items: {}", list(candidates))]
    AmbiguousStep { text: String, count: usize, candidates: Vec<StepId> },
    #[error("a run named `{name}` is {status} already: {run}")]
    NameActive { name: String, run: RunId, status: RunStatus },
    #[error("run {run} has just dropped that checkpoint of step `{step}`")]
    CheckpointGone { run: RunId, step: StepId },
    /// An event contradicts the state; nothing of the batch was committed.
    #[error("run {run}: event `{event}` of {subject} is impossible in status {status}")]
    IllegalEvent { run: RunId, subject: String, event: String, status: &'static str },
    #[error("run {run}: step `{step}` has a metric for training step {train_step} already")]
    DuplicateMetric { run: RunId, step: StepId, train_step: u64 },
    /// Another engine took over, so this one must stop writing.
    #[error("another engine took over `{}`: this one has epoch {ours}, the state is at {current}", path.display())]
    StaleEpoch { path: PathBuf, ours: i64, current: i64 },
    #[error("a batch was committed without `begin_epoch`")]
    NoEpoch,
    #[error("no space left to write `{}`", path.display())]
    NoSpace { path: PathBuf },
    #[error("`{}` is read-only", path.display())]
    ReadOnly { path: PathBuf },
    #[error("`{}` is busy: another process holds it", path.display())]
    Busy { path: PathBuf },
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    /// The workflow in a run's row does not match the digest in the log.
    #[error("the workflow of run {run} is damaged: its digest is {actual}, {expected} was submitted")]
    DamagedSpec { run: RunId, expected: String, actual: String },
    #[error("the value cannot be stored: {why}")]
    Unstorable { why: String },
    #[error("the state holds a value that this build cannot read: {what}")]
    Undecodable { what: String },
    #[error("`{}` is not set up for durability: {what}", path.display())]
    Pragma { path: PathBuf, what: String },
    #[error("cannot migrate `{}`", path.display())]
    Migration {
        path: PathBuf,
        #[source]
        source: Box<refinery::Error>,
    },
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the state database failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl StoreError {
    /// Advice on how to fix the problem; `None` if there is no advice.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            StoreError::NoState { .. } => {
                "start a run first, such as `stepwell start-training`, or give the folder with `--state-dir`".to_owned()
            }
            // The lock file names no process, so the hint cannot name one either.
            StoreError::Locked { holder, .. } | StoreError::OlderSchema { holder, .. } if holder.pid == 0 => {
                "wait for it, or use another `--state-dir`".to_owned()
            }
            StoreError::OlderSchema { holder, .. } => {
                format!("stop that engine with `kill {}`, or use the stepwell version that it is of", holder.pid)
            }
            StoreError::Locked { holder, .. } => holder.how_to_end(),
            StoreError::NewerSchema { .. } => {
                "use the newer stepwell that wrote it, or another `--state-dir`".to_owned()
            }
            StoreError::LostEvents { path, .. } | StoreError::LostCommits { path, .. } => {
                let head = path.with_file_name(HEAD_FILE);
                format!("restore the database from a backup, or accept the loss with `rm {}`", quote(head))
            }
            StoreError::UnknownRun { .. } => "`stepwell list` shows all runs".to_owned(),
            StoreError::Kept { run } => {
                format!("{} lets it go", stepwell("keep --undo", [&*run.to_string()]))
            }
            StoreError::TooManyTags { run, .. } => {
                format!("remove some first: {}", stepwell("tag --remove TAG", [&*run.to_string()]))
            }
            StoreError::UnknownSchedule { .. } => "`stepwell schedule list` shows all schedules".to_owned(),
            StoreError::ScheduleExists { name } => {
                format!("remove it with {}, or choose another name", stepwell("schedule remove", [&**name]))
            }
            StoreError::AmbiguousRun { .. } => "give more digits of the id".to_owned(),
            StoreError::AmbiguousStep { .. } => "give the whole item, or its position as listed here".to_owned(),
            StoreError::UnknownStep { run, step } if step.as_str().contains('[') => {
                format!("`stepwell show {run} --all` lists its items; a number in brackets is a position from 0")
            }
            StoreError::UnknownStep { run, .. } => format!("`stepwell show {run}` lists its steps"),
            StoreError::NameActive { run, .. } => {
                format!(
                    "continue with `stepwell resume {run}`, end it with `stepwell cancel {run}`, or choose another name"
                )
            }
            StoreError::CheckpointGone { .. } => "newer ones have replaced it: try again with one of those".to_owned(),
            StoreError::NoSpace { .. } => {
                "free some space on that disk, then continue with `stepwell resume last`".to_owned()
            }
            StoreError::ReadOnly { .. } => "make the folder writable, or choose another `--state-dir`".to_owned(),
            StoreError::Busy { .. } => {
                "close whatever has the database open for long, such as a sqlite3 shell".to_owned()
            }
            StoreError::Damaged { path, .. } if path.ends_with(HEAD_FILE) => {
                format!("see `stepwell db check`; to continue with the database as it is: `rm {}`", quote(path))
            }
            StoreError::Damaged { path, .. } => {
                let backups = path.with_file_name(BACKUPS_DIR);
                format!("`stepwell db check` lists the damage; backups are in `{}`", backups.display())
            }
            StoreError::Pruned { .. } => "submit the workflow again; `stepwell list` shows what is left".to_owned(),
            StoreError::Exists { .. } => "choose a path that does not exist: nothing is overwritten".to_owned(),
            StoreError::NoBackup { .. } => {
                "give the folder that `stepwell db backup PATH` made, or a file of `backups/`".to_owned()
            }
            StoreError::DamagedBackup { .. } => {
                "`stepwell db check --state-dir FOLDER` lists all damage; use another backup".to_owned()
            }
            StoreError::UnfinishedRestore { path } => {
                let backups = path.with_file_name(BACKUPS_DIR);
                format!("run `stepwell db restore BACKUP` again; what it replaced is in `{}`", backups.display())
            }
            StoreError::DamagedMetric { .. } | StoreError::DamagedSample { .. } => {
                "restore the state with `stepwell db restore BACKUP`, or run the step again".to_owned()
            }
            StoreError::DamagedSpec { .. } => {
                "restore the state with `stepwell db restore BACKUP`, or submit the workflow again".to_owned()
            }
            StoreError::Unstorable { .. } => "write what is large or deep into a file, and pass that on".to_owned(),
            StoreError::Undecodable { .. } => "`stepwell db check` lists the damage".to_owned(),
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "make the folder writable, or choose another `--state-dir`".to_owned()
            }
            StoreError::Io { path, .. } => format!("check that `{}` is a file that you may use", path.display()),
            StoreError::IllegalEvent { .. }
            | StoreError::DuplicateMetric { .. }
            | StoreError::StaleEpoch { .. }
            | StoreError::NoEpoch
            | StoreError::Pragma { .. }
            | StoreError::Migration { .. }
            | StoreError::Sqlite(_) => return None,
        };
        Some(hint)
    }

    /// True if the error concerns the rows of one run, not the whole database.
    pub fn concerns_one_run(&self) -> bool {
        matches!(
            self,
            StoreError::Undecodable { .. }
                | StoreError::DamagedSpec { .. }
                | StoreError::DamagedMetric { .. }
                | StoreError::DamagedSample { .. }
                | StoreError::Pruned { .. }
                | StoreError::UnknownRun { .. }
                | StoreError::UnknownStep { .. }
                | StoreError::AmbiguousStep { .. }
        )
    }

    /// Adds the file to a bare database error and picks the matching variant, if any.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        let StoreError::Sqlite(error) = self else { return self };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::NoSpace { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly { path },
            Some(ErrorCode::CannotOpen) => StoreError::Io { action: "open", path, source: io::Error::other(error) },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Damaged { path, what: error.to_string() }
            }
            _ => StoreError::Sqlite(error),
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> StoreError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace { path },
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path },
            _ => StoreError::Io { action, path, source },
        }
    }

    pub(crate) fn undecodable(what: impl Into<String>) -> StoreError {
        StoreError::Undecodable { what: what.into() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error {
            // A value that `Json` refused to store.
            rusqlite::Error::ToSqlConversionFailure(why) => match why.downcast::<StoreError>() {
                Ok(error) => *error,
                Err(why) => StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(why)),
            },
            error => StoreError::Sqlite(error),
        }
    }
}

/// Converts a failpoint's error to the error that SQLite would return.
#[cfg(feature = "failpoints")]
impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        let code = match error.kind() {
            io::ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
            _ => rusqlite::ffi::SQLITE_IOERR_WRITE,
        };
        StoreError::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string())))
    }
}

fn no_state(path: &Path) -> String {
    match path.is_dir() {
        true => format!("there is no state in the folder `{}`", path.display()),
        false => format!("there is no state directory `{}`", path.display()),
    }
}

fn list(ids: &[impl ToString]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
