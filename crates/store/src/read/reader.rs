//! The connection for reading. Each answer is consistent in itself.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::StoreError;
use crate::layout::DATABASE_FILE;
use crate::open::connection;

/// A connection for reading. Every query returns a `StoreError` when the database cannot be read; `# Errors` sections
/// list only other errors.
pub struct Reader {
    pub(crate) connection: Connection,
    pub(crate) state_dir: PathBuf,
}

impl Reader {
    /// Opens the state for reading only. Works while an engine writes, and on a read-only folder.
    ///
    /// # Errors
    /// `NoState` when the folder holds no state, `NewerSchema` when a newer build wrote it.
    pub fn open(state_dir: &Path) -> Result<Reader, StoreError> {
        Ok(Reader { connection: connection::read_only(state_dir)?, state_dir: state_dir.to_owned() })
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Runs a query in one read transaction: its own, or the one that the caller holds.
    pub(crate) fn query<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let run = || {
            if !self.connection.is_autocommit() {
                return question(&self.connection);
            }
            let snapshot = self.connection.unchecked_transaction()?;
            question(&snapshot)
        };
        run().map_err(|error: StoreError| error.at(&self.state_dir.join(DATABASE_FILE)))
    }
}
