//! Makes blocks of rows that have none, and removes those of rows that change. Both happen in the transaction of the change.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use stepwell_base::ids::{RunId, StepId};

use super::block::{Block, LEVELS, ROWS, WIDTH};
use super::encode::{COLUMNS, encode, read};
use crate::decode::exists;
use crate::error::StoreError;
use crate::rows::{VALUES, read_values};

/// Blocks of level 1 that a commit makes beyond those of its own rows: an engine that finds a long series without blocks
/// catches up little by little.
const CATCH_UP: usize = 2;
/// Series whose new rows are counted. More steps than this do not report at the same time.
const MOST_COUNTED: usize = 4096;

/// The series that a transaction wrote to, each with the first training step that changed and the number of new rows.
#[derive(Default)]
pub(crate) struct Touched<'b>(BTreeMap<(RunId, &'b StepId), (u64, usize)>);

/// Rows without a block that this connection has written, by series. Too few after a start: the rest waits for the next
/// rows, or for somebody who looks at them.
#[derive(Default)]
pub(crate) struct LooseRows(HashMap<(RunId, StepId), usize>);

impl<'b> Touched<'b> {
    /// Notes that rows from a training step on may have changed.
    pub(crate) fn changed(&mut self, run: RunId, step: &'b StepId, from: u64) {
        let (first, _) = self.0.entry((run, step)).or_insert((u64::MAX, 0));
        *first = from.min(*first);
    }

    /// Notes a row that was written.
    pub(crate) fn wrote(&mut self, run: RunId, step: &'b StepId, train_step: u64) {
        let (first, rows) = self.0.entry((run, step)).or_insert((u64::MAX, 0));
        *first = train_step.min(*first);
        *rows += 1;
    }

    /// Brings the blocks up to date; call it after the last row of a transaction.
    pub(crate) fn settle(self, connection: &Connection, loose: &mut LooseRows) -> Result<(), StoreError> {
        for ((run, step), (first, rows)) in self.0 {
            let text = run.to_string();
            forget(connection, (&text, step.as_str()), first)?;
            if loose.0.len() >= MOST_COUNTED {
                loose.0.clear();
            }
            let due = loose.0.entry((run, step.clone())).or_insert(0);
            *due += rows;
            if *due < ROWS {
                continue;
            }
            *due = match build(connection, (&text, step.as_str()), rows / ROWS + CATCH_UP) {
                Ok(Built::All) => 0,
                Ok(Built::Some) => ROWS,
                // A damaged row has no block: `db check` finds it, and pictures say so.
                Err(StoreError::Undecodable { .. }) => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}

/// Removes the blocks of rows from a training step on.
pub(crate) fn forget(connection: &Connection, (run, step): (&str, &str), from: u64) -> Result<(), StoreError> {
    let values = params![run, step, i64::try_from(from).unwrap_or(i64::MAX)];
    let lowest = "SELECT 1 FROM series_block WHERE run = ?1 AND step = ?2 AND level = 1 AND last_step >= ?3 LIMIT 1";
    // Every block ends where one of level 1 ends.
    if !exists(connection, lowest, values)? {
        return Ok(());
    }
    let sql = "DELETE FROM series_block WHERE run = ?1 AND step = ?2 AND level = ?4 AND last_step >= ?3";
    for level in 1..=LEVELS {
        let values = params![run, step, i64::try_from(from).unwrap_or(i64::MAX), level];
        connection.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Built {
    /// Fewer rows than a block has are left.
    All,
    /// There may be more.
    Some,
}

/// Makes at most `most` blocks of level 1, and those above that they complete.
///
/// # Errors
/// `Undecodable` for a damaged row.
pub(crate) fn build(connection: &Connection, series: (&str, &str), most: usize) -> Result<Built, StoreError> {
    let mut after = end_of(connection, series, 1)?;
    for _ in 0..most {
        let Some(block) = next_rows(connection, series, after)? else { return Ok(Built::All) };
        insert(connection, series, 1, &block)?;
        after = block.last_step.cast_signed();
        for level in 2..=LEVELS {
            let Some(block) = next_blocks(connection, series, level)? else { break };
            insert(connection, series, level, &block)?;
        }
    }
    Ok(Built::Some)
}

/// The last training step of the blocks of a level; -1 without one.
fn end_of(connection: &Connection, (run, step): (&str, &str), level: u32) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce(max(last_step), -1) FROM series_block WHERE run = ?1 AND step = ?2 AND level = ?3";
    Ok(connection.prepare_cached(sql)?.query_row(params![run, step, level], |row| row.get(0))?)
}

fn next_rows(connection: &Connection, (run, step): (&str, &str), after: i64) -> Result<Option<Block>, StoreError> {
    let sql = format!(
        "SELECT {VALUES} FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 ORDER BY train_step LIMIT {ROWS}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![run, step, after])?;
    let (mut block, mut count, mut values) = (None::<Block>, 0, Vec::new());
    while let Some(row) = rows.next()? {
        let train_step = read_values(row, &mut values)?;
        match &mut block {
            Some(block) => block.add_row(train_step, &values),
            None => block = Some(Block::of_row(train_step, &values)),
        }
        count += 1;
    }
    Ok(block.filter(|_| count == ROWS))
}

/// Joins the next blocks of the level below, if there are enough.
fn next_blocks(connection: &Connection, series: (&str, &str), level: u32) -> Result<Option<Block>, StoreError> {
    let (run, step) = series;
    let after = end_of(connection, series, level)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM series_block
         WHERE run = ?1 AND step = ?2 AND level = ?3 AND last_step > ?4 ORDER BY last_step LIMIT {WIDTH}"
    );
    let count = format!("SELECT count(*) FROM ({sql})");
    let values = params![run, step, level - 1, after];
    let there: i64 = connection.prepare_cached(&count)?.query_row(values, |row| row.get(0))?;
    if there < WIDTH as i64 {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut joined = None::<Block>;
    while let Some(row) = rows.next()? {
        let next = read(row)?;
        match &mut joined {
            Some(joined) => joined.join(&next),
            None => joined = Some(next),
        }
    }
    Ok(joined)
}

fn insert(connection: &Connection, (run, step): (&str, &str), level: u32, block: &Block) -> Result<(), StoreError> {
    let sql = "INSERT INTO series_block (run, step, level, last_step, first_step, plain, layered)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (plain, layered) = encode(block);
    let (first, last) = (block.first_step.cast_signed(), block.last_step.cast_signed());
    connection.prepare_cached(sql)?.execute(params![run, step, level, last, first, plain, layered])?;
    Ok(())
}
