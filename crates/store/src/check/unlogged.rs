//! Checks data that no event records.

use rusqlite::Connection;

use stepwell_base::protocol::Measurement;

use super::blocks::check_blocks;
use super::findings::Findings;
use crate::decode::{Columns, FromRow, collect};
use crate::error::StoreError;
use crate::integrity::seal;
use crate::rows::SampleRow;

pub(super) fn check_unlogged(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    if !seal::is_intact(connection)? {
        findings.add(
            "requests, schedules, environments, tags, notes, tokens, files, batches, messages, machines or `meta` are not what was written",
        );
    }
    // An attempt ends before its start when the clock was set back between two engines.
    let sql = "SELECT run, step, attempt FROM attempt WHERE compute_ms < 0 OR compute_ms >
                   max(0, round(86400000 * (julianday(finished_at) - julianday(started_at)))) + 1";
    for (run, step, attempt) in collect::<(String, String, i64)>(connection, sql, [])? {
        findings.add(format!("run {run}: step `{step}`: attempt {attempt} has worked for longer than it took"));
    }
    check_sums(connection, findings)?;
    check_rows::<Measurement>(connection, "metric", findings)?;
    check_rows::<SampleRow>(connection, "sample", findings)?;
    check_blocks(connection, findings)
}

/// Compares the work sums in the rows of steps and fan-outs with their attempts and children.
fn check_sums(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    let sql = "SELECT run, id FROM step
               WHERE compute_ms <> (SELECT coalesce(sum(attempt.compute_ms), 0) FROM attempt
                                    WHERE attempt.run = step.run AND attempt.step = step.id)
                                 + (SELECT coalesce(sum(child.compute_ms), 0) FROM step AS child
                                    WHERE child.run = step.run AND child.parent = step.id)
                  OR (children_timed, children_timed_ms) <>
                     (SELECT count(*), coalesce(sum(child.compute_ms), 0) FROM step AS child
                      WHERE child.run = step.run AND child.parent = step.id AND child.status = 'succeeded'
                            AND child.attempts > 0)";
    for (run, step) in collect::<(String, String)>(connection, sql, [])? {
        findings.add(format!("run {run}: step `{step}`: its work is not the sum of that of its attempts"));
    }
    Ok(())
}

/// Decodes every row of a table whose rows have digests.
fn check_rows<T: FromRow>(connection: &Connection, table: &str, findings: &mut Findings) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = T::Columns::find(&statement)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(damaged) = T::from_row(row, &columns) {
            findings.add(damaged.to_string());
        }
    }
    Ok(())
}
