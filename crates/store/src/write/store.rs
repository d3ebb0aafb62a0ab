//! The writing connection. Every change is one IMMEDIATE transaction that is durable on return.

use std::io::{ErrorKind, Write};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use stepwell_base::artifact::Digest;
use stepwell_base::faults::around;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::visible::visible;

use super::{commit, submit};
use crate::batch::{Adoption, Batch, CommitReport, NewRun, Submitted};
use crate::error::StoreError;
use crate::integrity::head::{Head, HeadFile};
use crate::integrity::{chain, seal};
use crate::layout::DATABASE_FILE;
use crate::open::connection;
use crate::open::lock::EngineLock;
use crate::read::reader::Reader;
use crate::series::{Built, LooseRows, build};

/// Rows written between WAL checkpoints (fewer under failpoints, so that tests reach the path).
const CHECKPOINT_EVERY: usize = if cfg!(feature = "failpoints") { 20 } else { 2000 };

/// A connection for reading and writing. An IO error during a write aborts the process: only a new start, which empties
/// the WAL, can find out whether the commit happened.
pub struct Store {
    reader: Reader,
    head: HeadFile,
    epoch: Option<i64>,
    rows_since_checkpoint: usize,
    loose: LooseRows,
    /// The last write found no space, so the next one reopens the database first.
    suspect: bool,
}

impl Store {
    /// Opens the state, creating it or migrating it after a backup. Empties the WAL first unless an engine runs in
    /// another process.
    ///
    /// # Errors
    /// `NewerSchema`, `LostEvents`, `ReadOnly`, `NoSpace`, `Damaged`.
    pub fn open(state_dir: &Path) -> Result<Store, StoreError> {
        let connection = connection::read_write(state_dir)?;
        let head = HeadFile::open(state_dir, &chain::head(&connection)?)?;
        let reader = Reader { connection, state_dir: state_dir.to_owned() };
        Ok(Store { reader, head, epoch: None, rows_since_checkpoint: 0, loose: LooseRows::default(), suspect: false })
    }

    /// The queries, on this connection: they see what it has committed.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Starts a new engine epoch; commits of every earlier engine fail from now on.
    ///
    /// # Errors
    /// `NoEpoch` when the lock is for another state directory, and those of [`Store::commit`].
    pub fn begin_epoch(&mut self, lock: &EngineLock) -> Result<(), StoreError> {
        if lock.state_dir() != self.reader.state_dir() {
            return Err(StoreError::NoEpoch);
        }
        let epoch = self.write(1, |transaction, _| {
            let sql = "UPDATE meta SET value = value + 1 WHERE key = 'engine_epoch'";
            seal::change(transaction, seal::meta(&"engine_epoch"), sql, [])?;
            epoch(transaction)
        })?;
        self.epoch = Some(epoch);
        Ok(())
    }

    /// Records the environment of the attempts that start from now on, as a JSON object. Equal environments share one
    /// row.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn record_environment(&mut self, body: &str) -> Result<(), StoreError> {
        let digest = Digest::of(body.as_bytes());
        self.write(1, |transaction, _| {
            let sql = "INSERT INTO environment (digest, body) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING";
            seal::insert(transaction, "environment", sql, params![digest.as_str(), body])?;
            let sql = "INSERT INTO meta (key, value) VALUES ('environment', ?1)
                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            seal::change(transaction, seal::meta(&"environment"), sql, [digest.as_str()])?;
            Ok(())
        })
    }

    /// Adds a run with its steps; steps without needs become ready. Any process may submit.
    ///
    /// # Errors
    /// `NameActive` when an unfinished run has that name, and those of [`Store::commit`].
    pub fn submit(&mut self, run: NewRun) -> Result<Submitted, StoreError> {
        self.write(run.spec.steps.len(), |transaction, head| submit::submit(transaction, head, &run))
    }

    /// Submits a run, together with the checkpoint that it continues from, in one transaction.
    ///
    /// # Errors
    /// `CheckpointGone` when the other run has dropped it in the meantime, and those of [`Store::submit`].
    pub fn submit_fork(&mut self, run: NewRun, adoption: &Adoption) -> Result<Submitted, StoreError> {
        self.write(run.spec.steps.len() + 1, |transaction, head| submit::submit_fork(transaction, head, &run, adoption))
    }

    /// Commits a batch in one transaction: all of it is durable on return, or nothing changed. Events under a fence
    /// that no longer holds are omitted and reported.
    ///
    /// # Errors
    /// `NoEpoch`, `StaleEpoch`, `IllegalEvent`, `UnknownRun`, `UnknownStep`, `DuplicateMetric`, `NoSpace`.
    pub fn commit(&mut self, batch: Batch<'_>) -> Result<CommitReport, StoreError> {
        let ours = self.epoch.ok_or(StoreError::NoEpoch)?;
        let path = self.reader.state_dir.clone();
        let rows = batch.events.len() + batch.metrics.len() + batch.series.len() + 1;
        let mut loose = std::mem::take(&mut self.loose);
        let done = self.write(rows, |transaction, head| {
            let current = epoch(transaction)?;
            if current != ours {
                return Err(StoreError::StaleEpoch { path, ours, current });
            }
            commit::commit(transaction, head, &mut loose, &batch)
        });
        self.loose = loose;
        done
    }

    /// Makes at most `most` blocks of rows of a series that have none, which pictures read instead of the rows. Returns
    /// true once there are no more. Any process may do this.
    ///
    /// # Errors
    /// `Undecodable` when a row is damaged, and those of [`Store::commit`].
    pub fn build_blocks(&mut self, run: RunId, step: &StepId, most: usize) -> Result<bool, StoreError> {
        let run = run.to_string();
        self.write(most, |transaction, _| Ok(build(transaction, (&run, step.as_str()), most)? == Built::All))
    }

    /// Runs `body` in one transaction, then records the new head outside the database.
    pub(super) fn write<T>(
        &mut self,
        rows: usize,
        body: impl FnOnce(&Transaction<'_>, &mut Head) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.reader.state_dir.join(DATABASE_FILE);
        if self.suspect {
            self.reader.connection = connection::read_write(&self.reader.state_dir)?;
            self.suspect = false;
        }
        match transact(&mut self.reader.connection, body) {
            Ok((value, head)) => {
                self.record(&head);
                self.checkpoint_wal(rows, &path);
                Ok(value)
            }
            Err(error) => {
                abort_on_io_error(&error, &path);
                let error = error.at(&path);
                self.suspect = matches!(error, StoreError::NoSpace { .. });
                Err(error)
            }
        }
    }

    fn record(&self, head: &Head) {
        match self.head.write(head) {
            Ok(()) => {}
            // An older head is still valid.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            Err(error) => abort(self.head.path(), &error.to_string()),
        }
    }

    /// Checkpoints the WAL ourselves: SQLite would ignore a failure of its own checkpoint, and later overwrite the WAL.
    fn checkpoint_wal(&mut self, rows: usize, path: &Path) {
        self.rows_since_checkpoint += rows;
        if self.rows_since_checkpoint < CHECKPOINT_EVERY {
            return;
        }
        self.rows_since_checkpoint = 0;
        let connection = &self.reader.connection;
        let copy = || Ok::<_, StoreError>(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?);
        match around!("store.wal.checkpoint", copy()) {
            Ok(()) => {}
            // The commit is already in the WAL; a lack of space concerns the next one.
            Err(error) => abort_on_io_error(&error, path),
        }
    }
}

fn epoch(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = 'engine_epoch'")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn transact<T>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>, &mut Head) -> Result<T, StoreError>,
) -> Result<(T, Head), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = chain::head(&transaction)?;
    let mut head = before.clone();
    let value = body(&transaction, &mut head)?;
    let quiet = head == before;
    if quiet {
        seal::count_quiet_commit(&transaction)?;
    }
    head.quiet += i64::from(quiet);
    around!("store.commit", transaction.commit().map_err(StoreError::from))?;
    Ok((value, head))
}

fn abort_on_io_error(error: &StoreError, path: &Path) {
    if let StoreError::Sqlite(error) = error
        && error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
    {
        abort(path, &error.to_string());
    }
}

/// Tests by writing: a file system turns read-only by itself after an error, and its mount flags may not show it.
fn is_read_only(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    tempfile::tempfile_in(folder).is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem)
}

/// Aborts, because code that continued could build on a commit that does not exist.
fn abort(path: &Path, error: &str) -> ! {
    #[expect(clippy::disallowed_methods, reason = "the last words of a process that aborts")]
    let mut stderr = std::io::stderr();
    let what = format!("stepwell: cannot write `{}`: {error}", path.display());
    let _ = writeln!(stderr, "{}", visible(&what));
    let hint = if is_read_only(path) {
        "its file system has turned read-only, see `dmesg`; check the disk, mount it again, then start again"
    } else {
        "check the disk, then start again"
    };
    let _ = writeln!(stderr, "hint: {hint}: every acknowledged step is kept");
    std::process::abort()
}
