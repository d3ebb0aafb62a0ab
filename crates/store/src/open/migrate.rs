//! Migrates a database to the schema of this build: first a backup, then all missing migrations in one transaction, then what
//! `convert.rs` does. Migrations up to 12 set `user_version` themselves.

use std::path::Path;

use rusqlite::{Connection, MAIN_DB};

use stepwell_base::faults::around;

use super::convert;
use crate::error::StoreError;
use crate::layout::BACKUPS_DIR;

mod embedded {
    refinery::embed_migrations!("src/migrations");
}

/// The schema that this build reads and writes.
pub(crate) const SUPPORTED: u32 = 14;

pub(crate) fn runner() -> refinery::Runner {
    embedded::migrations::runner().set_grouped(true)
}

/// Schema version of a database; 0 if it is new.
pub(crate) fn version(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SUPPORTED {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, supported: SUPPORTED });
    }
    Ok(found)
}

/// Creates the tables of a new database.
pub(crate) fn create(connection: &mut Connection) -> Result<(), StoreError> {
    let path = Path::new(connection.path().unwrap_or_default()).to_owned();
    apply(connection, &path)
}

fn apply(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Migration { path: path.to_owned(), source: Box::new(source) };
    runner().run(connection).map_err(failed)?;
    convert::finish(connection)
}

/// Migrates from version `found`. The caller keeps other processes out.
pub(crate) fn migrate(connection: &mut Connection, path: &Path, found: u32) -> Result<(), StoreError> {
    if found > 0 {
        backup(connection, path, found)?;
    }
    // Recreating a table that others refer to needs foreign keys off, and SQLite ignores the setting inside a
    // transaction.
    connection.pragma_update(None, "foreign_keys", false)?;
    let done = around!("store.migrate", apply(connection, path));
    connection.pragma_update(None, "foreign_keys", true)?;
    done
}

/// Writes a consistent copy of the database to `backups/`, even while others read it.
fn backup(connection: &Connection, path: &Path, found: u32) -> Result<(), StoreError> {
    let folder = path.with_file_name(BACKUPS_DIR);
    std::fs::create_dir_all(&folder).map_err(|error| StoreError::io("create the folder", &folder, error))?;
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let copy = folder.join(format!("stepwell-schema-{found}-{stamp}.db"));
    let write = || connection.backup(MAIN_DB, &copy, None::<fn(rusqlite::backup::Progress)>).map_err(StoreError::from);
    around!("store.backup.copy", write()).map_err(|error| error.at(&copy))?;
    let sync = || {
        std::fs::File::open(&copy)?.sync_all()?;
        std::fs::File::open(&folder)?.sync_all()
    };
    around!("store.backup.fsync", sync()).map_err(|error| StoreError::io("sync", &copy, error))
}
