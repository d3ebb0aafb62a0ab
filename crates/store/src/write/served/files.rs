//! Adds and removes files. Their content is durable before their rows.

use rusqlite::{Connection, params};

use crate::decode::{first, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::FileRow;
use crate::write::store::Store;

impl Store {
    /// Adds a file, unless one with its content exists; returns the row that is there then. A retried upload thus gives
    /// the file of the first one; the later of both times to expire holds.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn add_file(&mut self, file: &FileRow) -> Result<FileRow, StoreError> {
        self.write(1, |transaction, _| insert(transaction, file))
    }

    /// Removes a file; false if there is none. `gc` removes its content if nothing else refers to it.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn remove_file(&mut self, id: &str) -> Result<bool, StoreError> {
        self.write(1, |transaction, _| {
            let sql = "DELETE FROM file WHERE id = ?1";
            Ok(seal::change(transaction, row(&id), sql, [id])? > 0)
        })
    }
}

fn row<'k>(id: &'k &str) -> Rows<'k> {
    Rows { table: "file", column: "id", key: id }
}

pub(super) fn insert(connection: &Connection, file: &FileRow) -> Result<FileRow, StoreError> {
    let sql = "INSERT INTO file (id, digest, size, media_type, filename, purpose, created_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT (id) DO UPDATE SET expires_at =
                   iif(expires_at IS NULL OR excluded.expires_at IS NULL, NULL, max(expires_at, excluded.expires_at))";
    let values = params![
        file.id,
        file.artifact.digest.as_str(),
        file.artifact.size.cast_signed(),
        file.artifact.media_type,
        file.filename,
        file.purpose,
        time_text(file.created_at),
        file.expires_at.map(time_text),
    ];
    seal::change(connection, row(&file.id.as_str()), sql, values)?;
    let found = first(connection, "SELECT * FROM file WHERE id = ?1", [&file.id])?;
    found.ok_or_else(|| StoreError::undecodable(format!("file {} was not stored", file.id)))
}
