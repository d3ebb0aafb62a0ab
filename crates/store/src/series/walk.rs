//! Reads a range of a series as few pieces: blocks inside of the range, finer ones at its ends, and single rows.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use stepwell_base::ids::{RunId, StepId};

use super::block::{Block, LEVELS, ROWS};
use super::encode::{blob, decode};
use super::extremes::Extremes;
use crate::decode::first;
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{VALUES, read_values};

/// Training steps after `after` and up to `up_to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SeriesRange {
    pub after: Option<u64>,
    pub up_to: Option<u64>,
}

impl SeriesRange {
    pub(crate) fn signed(self) -> (i64, i64) {
        let signed = |step: u64| i64::try_from(step).unwrap_or(i64::MAX);
        (self.after.map_or(-1, signed), self.up_to.map_or(i64::MAX, signed))
    }
}

impl Reader {
    /// Every number that a range of a series has, with the count of its values.
    pub fn series_names(
        &self,
        series: (RunId, &StepId),
        range: SeriesRange,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        self.walk_series(series, range, LEVELS, Wanted::All, &mut |name, extremes| match names.get_mut(name) {
            Some(count) => *count += extremes.count,
            None => {
                names.insert(name.to_owned(), extremes.count);
            }
        })?;
        Ok(names)
    }

    /// Passes the pieces of some numbers to `see`, in order: blocks of `level` and lower ones at the ends of the range;
    /// single rows for level 0.
    pub fn series_pieces(
        &self,
        series: (RunId, &StepId),
        range: SeriesRange,
        level: u32,
        names: &BTreeSet<String>,
        mut see: impl FnMut(&str, Extremes),
    ) -> Result<(), StoreError> {
        self.walk_series(series, range, level.min(LEVELS), Wanted::These(names), &mut see)
    }

    /// The highest level with at least `least` blocks in these ranges; 1 if none has.
    pub fn series_level(&self, ranges: &[((RunId, &StepId), SeriesRange)], least: u64) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM series_block WHERE run = ?1 AND step = ?2 AND level = ?3
                                         AND last_step > ?4 AND last_step <= ?5 LIMIT ?6)";
        self.query(|connection| {
            for level in (2..=LEVELS).rev() {
                let mut count = 0;
                for ((run, step), range) in ranges {
                    let (after, up_to) = range.signed();
                    let values = params![run.to_string(), step.as_str(), level, after, up_to, least.cast_signed()];
                    count += first::<u64>(connection, sql, values)?.unwrap_or(0);
                }
                if count >= least {
                    return Ok(level);
                }
            }
            Ok(1)
        })
    }

    /// The number of rows that have no block, but at most `most`.
    pub fn loose_rows(&self, run: RunId, step: &StepId, most: u64) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM metric WHERE run = ?1 AND step = ?2 AND train_step >
                       (SELECT coalesce(max(last_step), -1) FROM series_block WHERE run = ?1 AND step = ?2 AND level = 1)
                   LIMIT ?3)";
        let values = params![run.to_string(), step.as_str(), most.cast_signed()];
        self.query(|connection| Ok(first::<u64>(connection, sql, values)?.unwrap_or(0)))
    }

    fn walk_series(
        &self,
        (run, step): (RunId, &StepId),
        range: SeriesRange,
        level: u32,
        wanted: Wanted<'_>,
        see: &mut dyn FnMut(&str, Extremes),
    ) -> Result<(), StoreError> {
        let run = run.to_string();
        self.query(|connection| {
            let grain = if level == 0 { 1 } else { ROWS };
            let mut walk = Walk { connection, run: &run, step: step.as_str(), wanted, grain, see };
            let (after, up_to) = range.signed();
            walk.pieces(level, after, up_to)
        })
    }
}

#[derive(Clone, Copy)]
enum Wanted<'n> {
    All,
    These(&'n BTreeSet<String>),
}

impl Wanted<'_> {
    fn has(self, name: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::These(names) => names.contains(name),
        }
    }

    /// True for names that are in the second part of a block.
    fn has_layers(self) -> bool {
        match self {
            Wanted::All => true,
            Wanted::These(names) => names.iter().any(|name| name.contains('/')),
        }
    }
}

struct Walk<'w> {
    connection: &'w Connection,
    run: &'w str,
    step: &'w str,
    wanted: Wanted<'w>,
    /// Rows of a piece where there is no block.
    grain: usize,
    see: &'w mut dyn FnMut(&str, Extremes),
}

impl Walk<'_> {
    fn pieces(&mut self, level: u32, after: i64, up_to: i64) -> Result<(), StoreError> {
        if after >= up_to {
            return Ok(());
        }
        if level == 0 {
            return self.rows(after, up_to);
        }
        let columns = if self.wanted.has_layers() { "plain, layered" } else { "plain" };
        let sql = format!(
            "SELECT first_step, last_step, {columns} FROM series_block
             WHERE run = ?1 AND step = ?2 AND level = ?3 AND last_step > ?4 AND last_step <= ?5 ORDER BY last_step"
        );
        let connection = self.connection;
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.run, self.step, level, after, up_to])?;
        let mut at = after;
        let mut is_first = true;
        while let Some(row) = rows.next()? {
            let (first_step, last_step): (i64, i64) = (row.get(0)?, row.get(1)?);
            // Only the first can begin before the range.
            if first_step <= after {
                continue;
            }
            if is_first {
                self.pieces(level - 1, after, first_step - 1)?;
                is_first = false;
            }
            for column in 2..row.as_ref().column_count() {
                decode(blob(row, column)?, first_step.cast_unsigned(), |name, extremes| {
                    if self.wanted.has(name) {
                        (self.see)(name, extremes);
                    }
                })?;
            }
            at = last_step;
        }
        drop(rows);
        drop(statement);
        self.pieces(level - 1, at, up_to)
    }

    fn rows(&mut self, after: i64, up_to: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {VALUES} FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 AND train_step <= ?4
             ORDER BY train_step"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.run, self.step, after, up_to])?;
        let (mut block, mut count, mut values) = (None::<Block>, 0, Vec::new());
        while let Some(row) = rows.next()? {
            let train_step = read_values(row, &mut values)?;
            values.retain(|(name, _)| self.wanted.has(name));
            match &mut block {
                Some(block) => block.add_row(train_step, &values),
                None => block = Some(Block::of_row(train_step, &values)),
            }
            count += 1;
            if count % self.grain == 0 {
                self.see_block(block.take());
            }
        }
        self.see_block(block);
        Ok(())
    }

    fn see_block(&mut self, block: Option<Block>) {
        for (name, extremes) in block.into_iter().flat_map(|block| block.names) {
            (self.see)(&name, extremes);
        }
    }
}
