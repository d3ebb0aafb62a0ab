//! Pages of the steps of a run, of which there may be 100,000.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::StepStatus;

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{StepRow, steps_where};

/// Which steps a page lists; all of them if it is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StepFilter {
    pub status: Option<StepStatus>,
    /// Part of an id or of the text of an item, in any case.
    pub text: Option<String>,
}

/// Steps by what a person has to do about them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StepCounts {
    pub total: u64,
    /// Steps that are no items of a fan-out.
    pub top: u64,
    pub failed: u64,
    pub running: u64,
    pub waiting: u64,
    /// Succeeded or skipped.
    pub done: u64,
}

impl Reader {
    /// At most `most` steps after the first `skipped`, without their artifacts: those that failed, then those at work,
    /// then the others as they are defined.
    pub fn step_page(
        &self,
        run: RunId,
        filter: &StepFilter,
        skipped: usize,
        most: usize,
    ) -> Result<Vec<StepRow>, StoreError> {
        const ORDER: &str = "ORDER BY CASE status WHEN 'failed' THEN 0 WHEN 'running' THEN 1 WHEN 'waiting' THEN 1
                             WHEN 'expanded' THEN 2 ELSE 3 END, position, item_index";
        // Numbers of rows are sorted, not whole rows.
        let sql = steps_where(&format!(
            "rowid IN (SELECT rowid FROM step WHERE run = ?1 AND (?2 IS NULL OR status = ?2)
                       AND (?3 IS NULL OR instr(lower(id), ?3) OR instr(lower(item), ?3)) {ORDER} LIMIT ?4 OFFSET ?5)
             {ORDER}"
        ));
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let text = filter.text.as_ref().map(|text| text.to_ascii_lowercase());
        let status = filter.status.map(StepStatus::as_str);
        let values = params![run.to_string(), status, text, count(most), count(skipped)];
        self.query(|connection| collect(connection, &sql, values))
    }

    /// The number of steps that a filter lets through.
    pub fn count_steps(&self, run: RunId, filter: &StepFilter) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM step WHERE run = ?1 AND (?2 IS NULL OR status = ?2)
                   AND (?3 IS NULL OR instr(lower(id), ?3) OR instr(lower(item), ?3))";
        let text = filter.text.as_ref().map(|text| text.to_ascii_lowercase());
        let values = params![run.to_string(), filter.status.map(StepStatus::as_str), text];
        let found: Vec<u64> = self.query(|connection| collect(connection, sql, values))?;
        Ok(found.into_iter().sum())
    }

    /// The steps of a run in numbers, from indexes and the counters of fan-outs; every fan-out counts as a step too.
    pub fn step_counts(&self, run: RunId) -> Result<StepCounts, StoreError> {
        let sql = "SELECT count(*), coalesce(sum(1 + coalesce(children, 0)), 0),
                          coalesce(sum((status = 'failed') + children_failed), 0),
                          coalesce(sum((status IN ('succeeded', 'skipped')) + children_done), 0)
                   FROM step WHERE run = ?1 AND parent IS NULL";
        let now = "SELECT (SELECT count(*) FROM step WHERE run = ?1 AND status = 'running'),
                          (SELECT count(*) FROM step WHERE run = ?1 AND status = 'waiting')";
        self.query(|connection| {
            let key = run.to_string();
            let (top, total, failed, done) = first(connection, sql, [&key])?.unwrap_or_default();
            let (running, waiting) = first(connection, now, [&key])?.unwrap_or_default();
            Ok(StepCounts { total, top, failed, running, waiting, done })
        })
    }

    /// Where attempts of a step began to report: each attempt that has rows, with its first training step. Looks at a few
    /// rows per attempt, however long the series is.
    pub fn attempt_starts(&self, run: RunId, step: &StepId) -> Result<Vec<(u32, u64)>, StoreError> {
        // Rows of an attempt follow those of earlier ones: a rewind removes what comes after.
        let ends = "SELECT attempt, train_step FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step";
        let at = "SELECT attempt, train_step FROM metric WHERE run = ?1 AND step = ?2 AND train_step >= ?3 ORDER BY train_step LIMIT 1";
        let key = run.to_string();
        self.query(|connection| {
            let one = |sql: &str| -> Result<Option<(u32, u64)>, StoreError> {
                Ok(collect(connection, sql, params![key, step.as_str()])?.into_iter().next())
            };
            let (Some(start), Some(last)) = (one(&format!("{ends} LIMIT 1"))?, one(&format!("{ends} DESC LIMIT 1"))?)
            else {
                return Ok(Vec::new());
            };
            let mut starts = vec![start];
            while let Some((attempt, from)) = starts.last().copied().filter(|(attempt, _)| *attempt < last.0) {
                let (mut low, mut high, mut found) = (from, last.1, last);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let signed = i64::try_from(middle).unwrap_or(i64::MAX);
                    let row: Vec<(u32, u64)> = collect(connection, at, params![key, step.as_str(), signed])?;
                    match row.first() {
                        Some(row) if row.0 > attempt => (high, found) = (middle, *row),
                        _ => low = middle + 1,
                    }
                }
                starts.push(found);
            }
            Ok(starts)
        })
    }
}
