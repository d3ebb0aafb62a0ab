//! Units of pools and rate limits that running attempts hold, in all runs.

use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_workflow::pools::Held;

use crate::decode::{Json, collect, each, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::EventRow;

impl Reader {
    /// Running steps of all runs, each with its run's name.
    pub fn all_running_steps(&self) -> Result<Vec<(String, StepId)>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT run.name, step.id FROM run JOIN step ON step.run = run.id
                       WHERE run.status IN ('pending', 'running', 'interrupted', 'paused', 'canceling')
                       AND step.status = 'running' ORDER BY run.id, step.position, step.item_index";
            collect(connection, sql, [])
        })
    }

    /// Pool units that running attempts hold, each with its run's name.
    pub fn held_units(&self) -> Result<Vec<(String, StepId, Held)>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT run.name, step.id, step.resources FROM step JOIN run ON run.id = step.run
                       WHERE step.status = 'running' AND step.resources IS NOT NULL ORDER BY run.id, step.position";
            let rows: Vec<(String, StepId, Json<Held>)> = collect(connection, sql, [])?;
            Ok(rows.into_iter().map(|(run, step, Json(held))| (run, step, held)).collect())
        })
    }

    /// Starts of rate-limited attempts since a time, oldest first, each with the limit's name. Reads the log backwards,
    /// only as far as needed.
    pub fn limited_starts(&self, since: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let mut started = Vec::new();
        self.query(|connection| {
            each(connection, "SELECT * FROM event ORDER BY seq DESC", [], |row: EventRow| {
                if row.at < since {
                    return ControlFlow::Break(());
                }
                if let Event::Step(StepEvent { step, kind: StepEventKind::AttemptStarted { .. }, .. }) = row.event {
                    started.push((row.run, step, row.at));
                }
                ControlFlow::Continue(())
            })
        })?;
        let mut limited = Vec::new();
        for (run, step, at) in started.into_iter().rev() {
            if let Some(name) = self.rate_limit_of(run, &step)? {
                limited.push((name, at));
            }
        }
        Ok(limited)
    }

    fn rate_limit_of(&self, run: RunId, step: &StepId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT run.spec ->> ('$.steps[' || step.position || '].rate_limit') AS name
                   FROM step JOIN run ON run.id = step.run WHERE step.run = ?1 AND step.id = ?2";
        let found: Option<Option<String>> =
            self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str()]))?;
        Ok(found.flatten())
    }
}
