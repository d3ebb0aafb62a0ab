//! Adds, changes and removes schedules: workflows that start by the clock.

use jiff::Timestamp;
use rusqlite::{ErrorCode, params};

use super::store::Store;
use crate::decode::{Json, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::ScheduleRow;

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
            let (created_at, done_until) = (time_text(*created_at), time_text(*done_until));
            let values = params![name, cron, time_zone, Json(spec), Json(options), created_at, done_until];
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
