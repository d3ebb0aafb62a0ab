//! Series that steps report: metrics of training and measurements of commands.

use std::ops::ControlFlow;

use rusqlite::{Row, params};
use serde_json::Value;

use stepwell_base::ids::{RunId, StepId, StepKey};
use stepwell_base::protocol::{Measurement, MetricRow};

use crate::decode::{FromRow, collect, columns, each, first};
use crate::error::StoreError;
use crate::read::reader::Reader;

/// A step that may have a series: its own rows, or those of the step whose outputs it reused.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesStep {
    pub id: StepId,
    /// Present only for a child of a fan-out.
    pub item: Option<Value>,
    /// The run that did the work, and the key under which it did.
    pub reused: Option<(RunId, StepKey)>,
}

columns! {
    pub(crate) struct SeriesStepColumns { id, item, reused_from, key }
}

impl FromRow for SeriesStep {
    type Columns = SeriesStepColumns;

    fn from_row(row: &Row<'_>, columns: &SeriesStepColumns) -> Result<SeriesStep, StoreError> {
        let reused_from: Option<RunId> = columns.reused_from.get(row)?;
        let key: Option<StepKey> = columns.key.get(row)?;
        Ok(SeriesStep { id: columns.id.get(row)?, item: columns.item.maybe_json(row)?, reused: reused_from.zip(key) })
    }
}

impl Reader {
    /// The steps of a run that have rows, or have reused a step with rows, in definition order; also `forked`, whose rows
    /// may all be in the run that it was forked from.
    pub fn series_steps(&self, run: RunId, forked: Option<&StepId>) -> Result<Vec<SeriesStep>, StoreError> {
        let sql = "SELECT id, item, reused_from, key FROM step
                   WHERE run = ?1 AND (id = ?2
                       OR EXISTS (SELECT 1 FROM metric WHERE metric.run = step.run AND metric.step = step.id)
                       OR reused_from IS NOT NULL
                          AND EXISTS (SELECT 1 FROM step AS source JOIN metric ON metric.run = source.run AND metric.step = source.id
                                      WHERE source.key = step.key AND source.key IS NOT NULL AND source.run = step.reused_from
                                            AND source.status = 'succeeded' AND source.kind <> 'noop'))
                   ORDER BY position, item_index";
        let values = params![run.to_string(), forked.map(StepId::as_str)];
        self.query(|connection| collect(connection, sql, values))
    }

    /// Metrics of training steps after `after_step`, in order.
    pub fn metrics(&self, run: RunId, step: &StepId, after_step: u64) -> Result<Vec<MetricRow>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 ORDER BY train_step";
            let after = i64::try_from(after_step).unwrap_or(i64::MAX);
            collect(connection, sql, params![run.to_string(), step.as_str(), after])
        })
    }

    /// Passes the rows of a step after training step `after` and up to `up_to` to `see`, in order, until it returns
    /// `Break`.
    pub fn each_measurement(
        &self,
        (run, step): (RunId, &StepId),
        after: Option<u64>,
        up_to: Option<u64>,
        see: impl FnMut(Measurement) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 AND train_step <= ?4
                   ORDER BY train_step";
        let signed = |step: u64| i64::try_from(step).unwrap_or(i64::MAX);
        let (after, up_to) = (after.map_or(-1, signed), up_to.map_or(i64::MAX, signed));
        self.query(|connection| each(connection, sql, params![run.to_string(), step.as_str(), after, up_to], see))
    }

    /// The newest metric of a step.
    pub fn newest_metric(&self, run: RunId, step: &StepId) -> Result<Option<MetricRow>, StoreError> {
        let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT 1";
        self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str()]))
    }

    /// The newest row of a step, by name.
    pub fn newest_measurement(&self, run: RunId, step: &StepId) -> Result<Option<Measurement>, StoreError> {
        let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT 1";
        self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str()]))
    }

    /// The first training step of the rows of a step.
    pub fn measured_from(&self, run: RunId, step: &StepId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT train_step FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step LIMIT 1";
        self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str()]))
    }

    /// True if a step has rows of its own.
    pub fn has_series(&self, run: RunId, step: &StepId) -> Result<bool, StoreError> {
        Ok(self.measured_up_to(run, step)?.is_some())
    }

    /// The last training step of the rows of a step.
    pub fn measured_up_to(&self, run: RunId, step: &StepId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT train_step FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT 1";
        self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str()]))
    }
}
