//! Queries on schedules.

use crate::decode::{collect_readable, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{ScheduleRow, Unreadable};

impl Reader {
    /// All schedules sorted by name, and the unreadable ones.
    pub fn schedules(&self) -> Result<(Vec<ScheduleRow>, Vec<Unreadable>), StoreError> {
        let sql = "SELECT * FROM schedule ORDER BY name";
        self.query(|connection| collect_readable(connection, sql, [], Unreadable::of))
    }

    /// One schedule by name.
    ///
    /// # Errors
    /// `UnknownSchedule`.
    pub fn schedule(&self, name: &str) -> Result<ScheduleRow, StoreError> {
        let found = self.query(|connection| first(connection, "SELECT * FROM schedule WHERE name = ?1", [name]))?;
        found.ok_or_else(|| StoreError::UnknownSchedule { name: name.to_owned() })
    }
}
