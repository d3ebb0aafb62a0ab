//! Pages of the list of runs.

use rusqlite::params;

use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;
use stepwell_run::status::RunStatus;

use crate::decode::{Json, collect};
use crate::error::StoreError;
use crate::open::lock::EngineLock;
use crate::read::reader::Reader;
use crate::read::runs::RUNS;
use crate::rows::RunRows;

/// Which runs a page lists. An empty filter is for all that were not pruned.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RunFilter {
    /// Part of a name, of a workflow or of an id, in any case.
    pub text: Option<String>,
    /// Any of these; all if there are none.
    pub statuses: Vec<RunStatus>,
    pub workflow: Option<String>,
    pub tag: Option<Tag>,
    pub family: Family,
}

/// The place of a run among the runs that steps start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Family {
    #[default]
    All,
    /// Runs that no step started.
    Top,
    /// The runs that the steps of this one started.
    ChildrenOf(RunId),
}

/// Steps of a run in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StepTotals {
    pub total: u64,
    /// Succeeded or skipped.
    pub done: u64,
    pub failed: u64,
}

impl Reader {
    /// At most `most` runs that were submitted before `before`, newest first.
    pub fn run_page(&self, filter: &RunFilter, before: Option<RunId>, most: usize) -> Result<RunRows, StoreError> {
        let sql = format!(
            "{RUNS} WHERE pruned_at IS NULL AND (?1 IS NULL OR id < ?1)
               AND (?2 IS NULL OR status IN (SELECT value FROM json_each(?2)))
               AND (?3 IS NULL OR workflow = ?3)
               AND (?4 IS NULL OR id IN (SELECT run FROM annotation
                                         WHERE EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?4)))
               AND (?5 IS NULL OR instr(lower(name), ?5) OR instr(lower(workflow), ?5) OR instr(id, ?5))
               AND CASE ?6 WHEN 'all' THEN TRUE WHEN 'top' THEN parent_run IS NULL ELSE parent_run = ?6 END
             ORDER BY run.id DESC LIMIT ?7"
        );
        let stored = (!filter.statuses.is_empty()).then(|| Json(self.stored(&filter.statuses)));
        let text = filter.text.as_ref().map(|text| text.to_ascii_lowercase());
        let family = match filter.family {
            Family::All => "all".to_owned(),
            Family::Top => "top".to_owned(),
            Family::ChildrenOf(run) => run.to_string(),
        };
        let values = params![
            before.map(|run| run.to_string()),
            stored,
            filter.workflow,
            filter.tag.as_ref().map(Tag::as_str),
            text,
            family,
            i64::try_from(most).unwrap_or(i64::MAX),
        ];
        self.runs_by(&sql, values)
    }

    /// The number of runs in each status as it is stored: one whose engine died is running until the next engine starts.
    pub fn runs_by_status(&self) -> Result<Vec<(RunStatus, u64)>, StoreError> {
        let sql = "SELECT status, count(*) FROM run WHERE pruned_at IS NULL GROUP BY status ORDER BY status";
        self.query(|connection| collect(connection, sql, []))
    }

    /// The names of workflows that runs had, those of the newest runs first.
    pub fn workflow_names(&self, most: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT workflow FROM run WHERE pruned_at IS NULL GROUP BY workflow ORDER BY max(id) DESC LIMIT ?1";
        self.query(|connection| collect(connection, sql, [i64::try_from(most).unwrap_or(i64::MAX)]))
    }

    /// The steps of each of the given runs, in numbers. A fan-out counts, and so does every item.
    pub fn step_totals(&self, runs: &[RunId]) -> Result<Vec<(RunId, StepTotals)>, StoreError> {
        let sql = "SELECT run, total, done, failed FROM run_tally WHERE run IN (SELECT value FROM json_each(?1))";
        let rows: Vec<(RunId, u64, u64, u64)> = self.query(|connection| collect(connection, sql, [Json(runs)]))?;
        Ok(rows.into_iter().map(|(run, total, done, failed)| (run, StepTotals { total, done, failed })).collect())
    }

    /// The stored statuses of runs that have one of these statuses now.
    fn stored(&self, statuses: &[RunStatus]) -> Vec<&'static str> {
        let is_driven = EngineLock::holder(self.state_dir()).is_some();
        let stored = |status: &RunStatus| match (status, is_driven) {
            (RunStatus::Running, false) => vec![],
            (RunStatus::Interrupted, false) => vec![RunStatus::Running.as_str(), status.as_str()],
            _ => vec![status.as_str()],
        };
        statuses.iter().flat_map(stored).collect()
    }
}
