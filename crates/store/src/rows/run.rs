//! Rows of runs.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::failure::Failure;
use stepwell_base::ids::RunId;
use stepwell_base::json::{self, Limit};
use stepwell_run::run_options::{Origin, RunOptions};
use stepwell_run::status::RunStatus;
use stepwell_workflow::key::text_digest;
use stepwell_workflow::spec::WorkflowSpec;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct RunRow {
    pub id: RunId,
    pub name: String,
    pub workflow: String,
    /// Current status: a run whose row says `running` is `interrupted` when no engine holds the state.
    pub status: RunStatus,
    /// Status after the newest event.
    pub stored_status: RunStatus,
    pub spec_digest: String,
    pub options: RunOptions,
    pub pause_reason: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Time of the newest event.
    pub updated_at: Timestamp,
    /// Time when the retention policy removed everything but this row and the log.
    pub pruned_at: Option<Timestamp>,
    pub failure: Option<Failure>,
}

impl RunRow {
    /// The time that the run is for: when its schedule was due, else when it was submitted.
    pub fn scheduled_at(&self) -> Timestamp {
        match &self.options.origin {
            Some(Origin::Schedule { due, .. }) => *due,
            _ => self.created_at,
        }
    }

    /// The run whose step started this one.
    pub fn parent(&self) -> Option<RunId> {
        match &self.options.origin {
            Some(Origin::Child { run, .. }) => Some(*run),
            _ => None,
        }
    }
}

columns! {
    pub(crate) struct RunColumns {
        id, name, workflow, status, created_at, started_at, finished_at, failure, pause_reason, spec_digest, options,
        pruned_at, updated_at,
    }
}

impl FromRow for RunRow {
    type Columns = RunColumns;

    fn from_row(row: &Row<'_>, columns: &RunColumns) -> Result<RunRow, StoreError> {
        let status = columns.status.get(row)?;
        Ok(RunRow {
            id: columns.id.get(row)?,
            name: columns.name.get(row)?,
            workflow: columns.workflow.get(row)?,
            status,
            stored_status: status,
            spec_digest: columns.spec_digest.get(row)?,
            options: columns.options.json(row)?,
            pause_reason: columns.pause_reason.get(row)?,
            created_at: columns.created_at.get(row)?,
            started_at: columns.started_at.get(row)?,
            finished_at: columns.finished_at.get(row)?,
            updated_at: columns.updated_at.get(row)?,
            pruned_at: columns.pruned_at.get(row)?,
            failure: columns.failure.maybe_json(row)?,
        })
    }
}

/// A run or a schedule whose row this build cannot read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// The run's id as stored; for a schedule, its name.
    pub id: String,
    pub name: String,
    pub why: String,
}

impl Unreadable {
    /// Collects the readable parts of a row that cannot be decoded.
    pub(crate) fn of(row: &Row<'_>, error: StoreError) -> Unreadable {
        let text = |column: &str| row.get::<_, String>(column).ok();
        let name = text("name").unwrap_or_else(|| "?".to_owned());
        Unreadable { id: text("id").unwrap_or_else(|| name.clone()), name, why: error.to_string() }
    }
}

/// Rows of runs. Unreadable rows are separate, so that they do not block the others.
#[derive(Clone, Debug, Default)]
pub struct RunRows {
    pub readable: Vec<RunRow>,
    pub unreadable: Vec<Unreadable>,
}

impl RunRows {
    /// Returns every run, for callers that must not miss one.
    ///
    /// # Errors
    /// `Undecodable` when one cannot be read.
    pub fn all(self) -> Result<Vec<RunRow>, StoreError> {
        match self.unreadable.first() {
            None => Ok(self.readable),
            Some(Unreadable { id, why, .. }) => Err(StoreError::undecodable(format!("run {id}: {why}"))),
        }
    }
}

columns! {
    pub(crate) struct SpecColumns { id, spec, spec_digest }
}

/// Decodes the workflow of a run if it is the submitted one. The digest covers the stored JSON, so a build whose
/// workflows have more fields accepts a workflow from an older build.
impl FromRow for WorkflowSpec {
    type Columns = SpecColumns;

    fn from_row(row: &Row<'_>, columns: &SpecColumns) -> Result<WorkflowSpec, StoreError> {
        // Borrowed, because a workflow may be megabytes.
        let stored = columns.spec.text(row)?;
        json::check(stored.as_bytes(), Limit::STORED).map_err(|error| columns.spec.undecodable(error))?;
        let actual = text_digest(stored).map_err(|error| columns.spec.undecodable(error))?;
        let expected: String = columns.spec_digest.get(row)?;
        if actual != expected {
            return Err(StoreError::DamagedSpec { run: columns.id.get(row)?, expected, actual });
        }
        serde_json::from_str(stored).map_err(|error| columns.spec.undecodable(error))
    }
}

/// Content of a run's row that its first event lacks.
pub(crate) struct Pinned {
    /// The workflow as JSON; its digest is in the event.
    pub(crate) spec: String,
    /// Set only for a run submitted by a build whose event did not contain the key.
    pub(crate) idempotency_key: Option<String>,
}

columns! {
    pub(crate) struct PinnedColumns { idempotency_key, spec }
}

impl FromRow for Pinned {
    type Columns = PinnedColumns;

    fn from_row(row: &Row<'_>, columns: &PinnedColumns) -> Result<Pinned, StoreError> {
        Ok(Pinned { spec: columns.spec.get(row)?, idempotency_key: columns.idempotency_key.get(row)? })
    }
}
