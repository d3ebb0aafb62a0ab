//! Queries on decisions, signals, pauses and waiting steps.

use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, PauseCause, RunEvent};
use stepwell_run::state::Signal;

use crate::decode::{collect, collect_readable, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{DecisionRow, EventRow, SignalRow, WaitRow};

impl Reader {
    /// Decisions of a run, oldest first.
    pub fn decisions(&self, run: RunId) -> Result<Vec<DecisionRow>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM decision WHERE run = ?1 ORDER BY seq";
            collect(connection, sql, [run.to_string()])
        })
    }

    /// Signals that no step has taken, oldest first.
    pub fn free_signals(&self, run: RunId) -> Result<Vec<Signal>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT name, payload FROM signal WHERE run = ?1 AND taken_by IS NULL ORDER BY seq";
            collect(connection, sql, [run.to_string()])
        })
    }

    /// All signals of a run in order of arrival.
    pub fn signals(&self, run: RunId) -> Result<Vec<SignalRow>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM signal WHERE run = ?1 ORDER BY seq";
            collect(connection, sql, [run.to_string()])
        })
    }

    /// Cause of the newest pause of a run; `None` if it was never paused.
    pub fn pause_cause(&self, run: RunId) -> Result<Option<PauseCause>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND kind = 'run_paused' ORDER BY seq DESC LIMIT 1";
        let newest: Option<EventRow> = self.query(|connection| first(connection, sql, [run.to_string()]))?;
        Ok(newest.and_then(|row| match row.event {
            Event::Run(RunEvent::Paused { reason, cause }) => Some(PauseCause::recorded(cause, &reason)),
            _ => None,
        }))
    }

    /// Waiting steps of all runs, sorted by run and position. Omits unreadable ones.
    pub fn waits(&self) -> Result<Vec<WaitRow>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT run, id, wait FROM step WHERE status = 'waiting' ORDER BY run, position, item_index";
            Ok(collect_readable(connection, sql, [], |_, _| ())?.0)
        })
    }
}
