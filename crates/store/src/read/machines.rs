//! Machines that are rented.

use super::reader::Reader;
use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::rows::{MachineEventRow, MachineRow};

impl Reader {
    /// Plans, and machines that may cost money, oldest first.
    pub fn open_machines(&self) -> Result<Vec<MachineRow>, StoreError> {
        let sql = "SELECT * FROM machine WHERE state <> 'gone' ORDER BY created_at";
        self.query(|connection| collect(connection, sql, []))
    }

    /// Up to `most` machines, newest first.
    pub fn machines(&self, most: u32) -> Result<Vec<MachineRow>, StoreError> {
        let sql = "SELECT * FROM machine ORDER BY created_at DESC LIMIT ?1";
        self.query(|connection| collect(connection, sql, [most]))
    }

    /// Machines whose key starts with a text: two show that it is ambiguous.
    pub fn machines_named(&self, start: &str) -> Result<Vec<MachineRow>, StoreError> {
        let sql = "SELECT * FROM machine WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key LIMIT 2";
        self.query(|connection| collect(connection, sql, [start]))
    }

    /// The machine with this key.
    pub fn machine(&self, key: &str) -> Result<Option<MachineRow>, StoreError> {
        self.query(|connection| first(connection, "SELECT * FROM machine WHERE key = ?1", [key]))
    }

    /// The machine whose plan has this digest.
    pub fn machine_planned_as(&self, digest: &str) -> Result<Option<MachineRow>, StoreError> {
        self.query(|connection| first(connection, "SELECT * FROM machine WHERE digest = ?1", [digest]))
    }

    /// The events of a machine, in order.
    pub fn machine_events(&self, key: &str) -> Result<Vec<MachineEventRow>, StoreError> {
        let sql = "SELECT version, at, event FROM machine_event WHERE machine = ?1 ORDER BY version";
        self.query(|connection| collect(connection, sql, [key]))
    }
}
