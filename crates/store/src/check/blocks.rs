//! Compares the blocks of series with the rows that they stand for.

use rusqlite::{Connection, Rows, params};

use super::findings::Findings;
use crate::decode::collect;
use crate::error::StoreError;
use crate::rows::{VALUES, read_values};
use crate::series::{Block, COLUMNS, LEVELS, ROWS, WIDTH, blob, encode, read};

pub(super) fn check_blocks(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    let sql = "SELECT DISTINCT run, step FROM series_block";
    for (run, step) in collect::<(String, String)>(connection, sql, [])? {
        match is_right(connection, (&run, &step)) {
            Ok(true) => {}
            Ok(false) | Err(StoreError::Undecodable { .. }) => {
                findings.add(format!("run {run}: step `{step}`: blocks of its series are not what its rows say"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// True if every block is that of its rows, and every level has as many as it should.
fn is_right(connection: &Connection, (run, step): (&str, &str)) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM series_block WHERE run = ?1 AND step = ?2 AND level NOT BETWEEN 1 AND ?3";
    if collect::<u64>(connection, sql, params![run, step, LEVELS])? != [0] {
        return Ok(false);
    }
    let blocks =
        format!("SELECT {COLUMNS} FROM series_block WHERE run = ?1 AND step = ?2 AND level = ?3 ORDER BY last_step");
    let rows = format!("SELECT {VALUES} FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step");
    let (mut rows, mut here) = (connection.prepare(&rows)?, connection.prepare(&blocks)?);
    let (mut rows, mut here) = (rows.query([run, step])?, here.query(params![run, step, 1])?);
    let mut count = 0;
    while let Some(stored) = here.next()? {
        let Some(block) = of_rows(&mut rows)? else { return Ok(false) };
        if !is_block(stored, &block)? {
            return Ok(false);
        }
        count += 1;
    }
    for level in 2..=LEVELS {
        let (mut below, mut here) = (connection.prepare(&blocks)?, connection.prepare(&blocks)?);
        let (mut below, mut here) =
            (below.query(params![run, step, level - 1])?, here.query(params![run, step, level])?);
        count /= WIDTH;
        for _ in 0..count {
            let (Some(block), Some(stored)) = (joined(&mut below)?, here.next()?) else { return Ok(false) };
            if !is_block(stored, &block)? {
                return Ok(false);
            }
        }
        if here.next()?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The block of the next rows; `None` if there are too few.
fn of_rows(rows: &mut Rows<'_>) -> Result<Option<Block>, StoreError> {
    let (mut block, mut values) = (None::<Block>, Vec::new());
    for _ in 0..ROWS {
        let Some(row) = rows.next()? else { return Ok(None) };
        let train_step = read_values(row, &mut values)?;
        match &mut block {
            Some(block) => block.add_row(train_step, &values),
            None => block = Some(Block::of_row(train_step, &values)),
        }
    }
    Ok(block)
}

/// The next blocks of a level as one.
fn joined(below: &mut Rows<'_>) -> Result<Option<Block>, StoreError> {
    let mut joined = None::<Block>;
    for _ in 0..WIDTH {
        let Some(row) = below.next()? else { return Ok(None) };
        let next = read(row)?;
        match &mut joined {
            Some(joined) => joined.join(&next),
            None => joined = Some(next),
        }
    }
    Ok(joined)
}

fn is_block(stored: &rusqlite::Row<'_>, block: &Block) -> Result<bool, StoreError> {
    let (first, last): (i64, i64) = (stored.get(0)?, stored.get(1)?);
    let (plain, layered) = encode(block);
    Ok((first.cast_unsigned(), last.cast_unsigned()) == (block.first_step, block.last_step)
        && (blob(stored, 2)?, blob(stored, 3)?) == (&*plain, &*layered))
}
