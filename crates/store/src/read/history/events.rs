//! Queries on the event log. The log grows without bound, so queries that need more than a page read it row by row.

use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, StepEvent, StepEventKind};

use crate::decode::{collect, each, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::EventRow;

/// Events in a page.
const PAGE: usize = 1000;

impl Reader {
    /// Number of the newest event; 0 if the log is empty.
    pub fn newest_event(&self) -> Result<i64, StoreError> {
        let newest = self.query(|connection| first(connection, "SELECT coalesce(max(seq), 0) FROM event", []))?;
        Ok(newest.unwrap_or(0))
    }

    /// The newest event of a run.
    pub fn newest_event_of(&self, run: RunId) -> Result<Option<EventRow>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
        self.query(|connection| first(connection, sql, [run.to_string()]))
    }

    /// True if the success of a step or a checkpoint was committed after event `after_seq`.
    pub fn has_progressed(&self, after_seq: i64) -> Result<bool, StoreError> {
        self.query(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM event
                       WHERE seq > ?1 AND kind IN ('step_succeeded', 'checkpoint_committed'))";
            Ok(first(connection, sql, [after_seq])?.unwrap_or(false))
        })
    }

    /// Events after `after_seq`, of one run or of all, in one list; see also [`Reader::events_after`].
    pub fn events(&self, run: Option<RunId>, after_seq: i64) -> Result<Vec<EventRow>, StoreError> {
        self.query(|connection| match run {
            Some(run) => {
                let sql = "SELECT * FROM event WHERE run = ?1 AND seq > ?2 ORDER BY seq";
                collect(connection, sql, params![run.to_string(), after_seq])
            }
            None => {
                let sql = "SELECT * FROM event WHERE seq > ?1 ORDER BY seq";
                collect(connection, sql, [after_seq])
            }
        })
    }

    /// Up to `most` events after `after_seq`, of one run or of all, in order.
    pub fn events_page(&self, run: Option<RunId>, after_seq: i64, most: u32) -> Result<Vec<EventRow>, StoreError> {
        self.query(|connection| match run {
            Some(run) => {
                let sql = "SELECT * FROM event WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
                collect(connection, sql, params![run.to_string(), after_seq, most])
            }
            None => {
                let sql = "SELECT * FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";
                collect(connection, sql, params![after_seq, most])
            }
        })
    }

    /// Events of a run after `after_seq`, read in pages. Ends at the first error.
    pub fn events_after(&self, run: RunId, after_seq: i64) -> EventsAfter<'_> {
        EventsAfter { reader: self, run, after_seq, page: Vec::new().into_iter(), ended: false }
    }

    /// Up to a page of events after `after_seq` of a run and its descendants, in order; the next page starts after the
    /// last one. Empty once nothing follows.
    pub fn family_events(&self, run: RunId, after_seq: i64) -> Result<Vec<EventRow>, StoreError> {
        // The plus keeps SQLite from sorting all later events of the family for each page.
        let sql = "WITH RECURSIVE family(id) AS (
                       VALUES (?1) UNION ALL SELECT run.id FROM family CROSS JOIN run ON run.parent_run = family.id)
                   SELECT * FROM event
                   WHERE seq > max(?2, (SELECT coalesce(min(seq), 1) - 1 FROM event WHERE run = ?1))
                         AND +run IN (SELECT id FROM family)
                   ORDER BY seq LIMIT ?3";
        self.query(|connection| collect(connection, sql, params![run.to_string(), after_seq, PAGE as i64]))
    }

    /// At most `most` events of a run before event `before_seq`, newest first.
    pub fn events_before(&self, run: RunId, before_seq: i64, most: usize) -> Result<Vec<EventRow>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.query(|connection| collect(connection, sql, params![run.to_string(), before_seq, most]))
    }

    /// Passes the whole log to `see`, one event at a time.
    pub fn each_event(&self, mut see: impl FnMut(EventRow)) -> Result<(), StoreError> {
        self.query(|connection| {
            each(connection, "SELECT * FROM event ORDER BY seq", [], |row| {
                see(row);
                ControlFlow::Continue(())
            })
        })
    }

    /// Passes the events of a step to `see`, newest first, until `see` returns `Break`.
    pub fn each_event_of_step_newest_first(
        &self,
        run: RunId,
        step: &StepId,
        see: impl FnMut(EventRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND step = ?2 ORDER BY seq DESC";
        self.query(|connection| each(connection, sql, params![run.to_string(), step.as_str()], see))
    }

    /// Notes of the newest attempts of a step, oldest first: at most so many.
    pub fn newest_notes(&self, run: RunId, step: &StepId, most: u32) -> Result<Vec<(Timestamp, String)>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND step = ?2 AND kind = 'note' ORDER BY seq DESC LIMIT ?3";
        let rows: Vec<EventRow> =
            self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str(), most]))?;
        let note = |row: EventRow| match row.event {
            Event::Step(StepEvent { kind: StepEventKind::Note { message }, .. }) => Some((row.at, message)),
            _ => None,
        };
        Ok(rows.into_iter().rev().filter_map(note).collect())
    }

    /// Events that gave a step a checkpoint, oldest first, including checkpoints since rewound or dropped.
    pub fn checkpoint_events(&self, run: RunId, step: &StepId) -> Result<Vec<EventRow>, StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND step = ?2
                   AND kind IN ('checkpoint_committed', 'checkpoint_adopted') ORDER BY seq";
        self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str()]))
    }
}

/// Events of a run, read in pages, so that neither memory nor a read transaction grows with the log.
pub struct EventsAfter<'r> {
    reader: &'r Reader,
    run: RunId,
    after_seq: i64,
    page: std::vec::IntoIter<EventRow>,
    ended: bool,
}

impl EventsAfter<'_> {
    fn read_page(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let values = params![self.run.to_string(), self.after_seq, PAGE as i64];
        let page: Vec<EventRow> = self.reader.query(|connection| collect(connection, sql, values))?;
        self.ended = page.len() < PAGE;
        self.after_seq = page.last().map_or(self.after_seq, |row| row.seq);
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for EventsAfter<'_> {
    type Item = Result<EventRow, StoreError>;

    fn next(&mut self) -> Option<Result<EventRow, StoreError>> {
        if self.page.len() == 0
            && !self.ended
            && let Err(error) = self.read_page()
        {
            self.ended = true;
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}
