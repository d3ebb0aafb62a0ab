//! Rows of schedules.

use jiff::Timestamp;
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use stepwell_run::project::Project;
use stepwell_workflow::spec::WorkflowSpec;
use stepwell_workflow::timetable::CatchUp;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// Options for the runs that a schedule submits.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ScheduleOptions {
    #[serde(default)]
    pub catch_up: CatchUp,
    #[serde(default)]
    pub priority: i32,
    /// Project of the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
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

columns! {
    pub(crate) struct ScheduleColumns { name, cron, time_zone, spec, options, created_at, paused_at, done_until }
}

impl FromRow for ScheduleRow {
    type Columns = ScheduleColumns;

    fn from_row(row: &Row<'_>, columns: &ScheduleColumns) -> Result<ScheduleRow, StoreError> {
        Ok(ScheduleRow {
            name: columns.name.get(row)?,
            cron: columns.cron.get(row)?,
            time_zone: columns.time_zone.get(row)?,
            spec: columns.spec.json(row)?,
            options: columns.options.json(row)?,
            created_at: columns.created_at.get(row)?,
            paused_at: columns.paused_at.get(row)?,
            done_until: columns.done_until.get(row)?,
        })
    }
}
