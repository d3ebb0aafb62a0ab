//! Rows of the event log.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::ids::RunId;
use stepwell_run::event::Event;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct EventRow {
    pub seq: i64,
    pub run: RunId,
    /// Precise to a millisecond.
    pub at: Timestamp,
    pub event: Event,
}

columns! {
    pub(crate) struct EventColumns { seq, run, at, payload }
}

impl FromRow for EventRow {
    type Columns = EventColumns;

    fn from_row(row: &Row<'_>, columns: &EventColumns) -> Result<EventRow, StoreError> {
        Ok(EventRow {
            run: columns.run.get(row)?,
            seq: columns.seq.get(row)?,
            at: columns.at.get(row)?,
            event: columns.payload.json(row)?,
        })
    }
}
