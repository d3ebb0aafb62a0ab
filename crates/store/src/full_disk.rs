//! A disk that is full for one commit of an engine on this thread.

use std::cell::Cell;

use rusqlite::ffi;

use crate::error::StoreError;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

/// The next batch does not fit.
pub fn arm() {
    ARMED.set(true);
}

pub fn disarm() {
    ARMED.set(false);
}

pub(crate) fn reach() -> Result<(), StoreError> {
    if ARMED.take() {
        return Err(StoreError::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)));
    }
    Ok(())
}
