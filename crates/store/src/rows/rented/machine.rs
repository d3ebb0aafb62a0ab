//! Rows of machines and of their events. Their meaning is not known here.

use jiff::Timestamp;
use rusqlite::Row;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// A machine to store, with its first event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMachine<'a> {
    pub key: &'a str,
    pub digest: &'a str,
    pub provider: &'a str,
    pub state: &'a str,
    pub at: Timestamp,
    /// JSON.
    pub event: &'a str,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineRow {
    pub key: String,
    pub digest: String,
    pub provider: String,
    pub state: String,
    pub version: u64,
    pub created_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineEventRow {
    pub version: u64,
    pub at: Timestamp,
    /// JSON.
    pub event: String,
}

columns! {
    pub(crate) struct MachineColumns { key, digest, provider, state, version, created_at }
}

impl FromRow for MachineRow {
    type Columns = MachineColumns;

    fn from_row(row: &Row<'_>, columns: &MachineColumns) -> Result<MachineRow, StoreError> {
        Ok(MachineRow {
            key: columns.key.get(row)?,
            digest: columns.digest.get(row)?,
            provider: columns.provider.get(row)?,
            state: columns.state.get(row)?,
            version: columns.version.get(row)?,
            created_at: columns.created_at.get(row)?,
        })
    }
}

columns! {
    pub(crate) struct MachineEventColumns { version, at, event }
}

impl FromRow for MachineEventRow {
    type Columns = MachineEventColumns;

    fn from_row(row: &Row<'_>, columns: &MachineEventColumns) -> Result<MachineEventRow, StoreError> {
        Ok(MachineEventRow {
            version: columns.version.get(row)?,
            at: columns.at.get(row)?,
            event: columns.event.get(row)?,
        })
    }
}
