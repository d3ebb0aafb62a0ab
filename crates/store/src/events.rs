//! Queries on the event log. The log grows without bound, so queries that need more than a page read it row by row.

use std::ops::ControlFlow;

use rusqlite::{Params, params};

use stepwell_base::ids::{RunId, StepId};

use super::decode::{self, collect, first};
use super::error::StoreError;
use super::reader::Reader;
use super::rows::EventRow;

impl Reader {
    /// Number of the newest event; 0 if the log is empty.
    pub fn newest_event(&self) -> Result<i64, StoreError> {
        self.ask(
            |connection| Ok(connection.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))?),
        )
    }

    /// The newest event of a run.
    pub fn newest_event_of(&self, run: RunId) -> Result<Option<EventRow>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
        self.ask(|connection| first(connection, sql, [run.to_string()], decode::event))
    }

    /// True if the success of a step or a checkpoint was committed after event `after_seq`.
    pub fn has_progressed(&self, after_seq: i64) -> Result<bool, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM event
                       WHERE seq > ?1 AND kind IN ('step_succeeded', 'checkpoint_committed'))";
            Ok(connection.query_row(sql, [after_seq], |row| row.get(0))?)
        })
    }

    /// Events after `after_seq`, of one run or of all.
    pub fn events(&self, run: Option<RunId>, after_seq: i64) -> Result<Vec<EventRow>, StoreError> {
        self.ask(|connection| match run {
            Some(run) => {
                let sql = "SELECT * FROM event WHERE run = ?1 AND seq > ?2 ORDER BY seq";
                collect(connection, sql, params![run.to_string(), after_seq], decode::event)
            }
            None => {
                let sql = "SELECT * FROM event WHERE seq > ?1 ORDER BY seq";
                collect(connection, sql, [after_seq], decode::event)
            }
        })
    }

    /// Passes the whole log to `see`, one event at a time.
    pub fn each_event(&self, mut see: impl FnMut(EventRow)) -> Result<(), StoreError> {
        self.stream("SELECT * FROM event ORDER BY seq", [], |row| {
            see(row);
            ControlFlow::Continue(())
        })
    }

    /// Passes the events of a step to `see`, newest first, until `see` returns `Break`.
    pub fn each_event_of_step_back(
        &self,
        run: RunId,
        step: &StepId,
        see: impl FnMut(EventRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND step = ?2 ORDER BY seq DESC";
        self.stream(sql, params![run.to_string(), step.as_str()], see)
    }

    /// Events that gave a step a checkpoint, oldest first, including checkpoints since rewound or dropped.
    pub fn checkpoint_events(&self, run: RunId, step: &StepId) -> Result<Vec<EventRow>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND step = ?2
                   AND kind IN ('checkpoint_committed', 'checkpoint_adopted') ORDER BY seq";
        self.ask(|connection| collect(connection, sql, params![run.to_string(), step.as_str()], decode::event))
    }

    pub(super) fn stream(
        &self,
        sql: &str,
        values: impl Params,
        mut see: impl FnMut(EventRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                if see(decode::event(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}
