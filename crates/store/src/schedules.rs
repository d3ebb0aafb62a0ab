//! Schedules: workflows that start by the clock.

use jiff::Timestamp;
use rusqlite::{ErrorCode, params};
use serde::{Deserialize, Serialize};

use stepwell_workflow::spec::WorkflowSpec;
use stepwell_workflow::timetable::CatchUp;

use super::decode::{self, json_text, time_text};
use super::error::StoreError;
use super::reader::Reader;
use super::rows::Unreadable;
use super::seal::{self, Rows};
use super::writer::Store;

/// Options for the runs that a schedule submits.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ScheduleOptions {
    #[serde(default)]
    pub catch_up: CatchUp,
    #[serde(default)]
    pub priority: i32,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ScheduleRow {
    pub name: String,
    pub cron: String,
    pub time_zone: String,
    /// The workflow and its parameters as of the time when the schedule was added.
    pub spec: WorkflowSpec,
    pub options: ScheduleOptions,
    pub created_at: Timestamp,
    pub paused_at: Option<Timestamp>,
    /// Everything due until then has been started or skipped.
    pub done_until: Timestamp,
}

impl Reader {
    /// All schedules sorted by name, and the unreadable ones.
    pub fn schedules(&self) -> Result<(Vec<ScheduleRow>, Vec<Unreadable>), StoreError> {
        let sql = "SELECT * FROM schedule ORDER BY name";
        self.ask(|connection| decode::collect_readable(connection, sql, [], row, decode::unreadable))
    }

    /// One schedule by name.
    ///
    /// # Errors
    /// `UnknownSchedule`.
    pub fn schedule(&self, name: &str) -> Result<ScheduleRow, StoreError> {
        let found =
            self.ask(|connection| decode::first(connection, "SELECT * FROM schedule WHERE name = ?1", [name], row))?;
        found.ok_or_else(|| StoreError::UnknownSchedule { name: name.to_owned() })
    }
}

impl Store {
    /// Adds a schedule.
    ///
    /// # Errors
    /// `ScheduleExists`, and those of [`Store::commit`].
    pub fn add_schedule(&mut self, schedule: &ScheduleRow) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            let sql = "INSERT INTO schedule (name, cron, time_zone, spec, options, created_at, done_until)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let ScheduleRow { name, cron, time_zone, spec, options, created_at, done_until, .. } = schedule;
            let (spec, options) = (json_text(spec)?, json_text(options)?);
            let (created_at, done_until) = (time_text(*created_at), time_text(*done_until));
            let values = params![name, cron, time_zone, spec, options, created_at, done_until];
            match seal::insert(transaction, "schedule", sql, values) {
                Err(StoreError::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    Err(StoreError::ScheduleExists { name: name.clone() })
                }
                other => other.map(drop),
            }
        })
    }

    /// Pauses a schedule; pausing it again keeps the first time.
    ///
    /// # Errors
    /// `UnknownSchedule`, and those of [`Store::commit`].
    pub fn pause_schedule(&mut self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE schedule SET paused_at = coalesce(paused_at, ?2) WHERE name = ?1";
        self.change_schedule(sql, name, Some(at))
    }

    /// Resumes a schedule; times that were due during the pause are skipped.
    ///
    /// # Errors
    /// Those of [`Store::pause_schedule`].
    pub fn resume_schedule(&mut self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql =
            "UPDATE schedule SET done_until = CASE WHEN paused_at IS NULL THEN done_until ELSE max(done_until, ?2) END,
                       paused_at = NULL
                   WHERE name = ?1";
        self.change_schedule(sql, name, Some(at))
    }

    /// Removes a schedule.
    ///
    /// # Errors
    /// Those of [`Store::pause_schedule`].
    pub fn remove_schedule(&mut self, name: &str) -> Result<(), StoreError> {
        self.change_schedule("DELETE FROM schedule WHERE name = ?1 AND ?2 IS NULL", name, None)
    }

    /// Records that everything due until `until` has been started or skipped. The stored time never moves back. A
    /// schedule that was removed in the meantime is not an error.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn settle_schedule(&mut self, name: &str, until: Timestamp) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            let sql = "UPDATE schedule SET done_until = max(done_until, ?2) WHERE name = ?1";
            seal::change(transaction, named(&name), sql, params![name, time_text(until)])?;
            Ok(())
        })
    }

    fn change_schedule(&mut self, sql: &str, name: &str, at: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            match seal::change(transaction, named(&name), sql, params![name, at.map(time_text)])? {
                0 => Err(StoreError::UnknownSchedule { name: name.to_owned() }),
                _ => Ok(()),
            }
        })
    }
}

fn named<'k>(name: &'k &str) -> Rows<'k> {
    Rows { table: "schedule", column: "name", key: name }
}

fn row(row: &rusqlite::Row<'_>) -> Result<ScheduleRow, StoreError> {
    Ok(ScheduleRow {
        name: decode::get(row, "name")?,
        cron: decode::get(row, "cron")?,
        time_zone: decode::get(row, "time_zone")?,
        spec: decode::json(row, "spec")?,
        options: decode::json(row, "options")?,
        created_at: decode::parse(row, "created_at")?,
        paused_at: decode::maybe(row, "paused_at")?,
        done_until: decode::parse(row, "done_until")?,
    })
}
