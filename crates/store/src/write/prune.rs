//! Removes rows that are no longer needed: checkpoints that newer ones replaced, and runs that the retention policy
//! removes.

use rusqlite::{Connection, params};

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, Recorded, StepEvent, StepEventKind};

use crate::decode::{collect, exists};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::CheckpointRow;

/// Drops the checkpoints beyond the `keep` limit of a committed checkpoint, and returns their artifacts. The newest that
/// is marked as the best stays, too.
pub(super) fn drop_replaced(connection: &Connection, recorded: &Recorded) -> Result<Vec<ArtifactRef>, StoreError> {
    let Event::Step(StepEvent { step, kind: StepEventKind::CheckpointCommitted { checkpoint }, .. }) = &recorded.event
    else {
        return Ok(Vec::new());
    };
    let Some(keep) = checkpoint.keep else { return Ok(Vec::new()) };
    let sql = "DELETE FROM checkpoint WHERE run = ?1 AND step = ?2 AND permanent = 0 AND seq NOT IN
                   (SELECT seq FROM checkpoint WHERE run = ?1 AND step = ?2 AND permanent = 0 ORDER BY seq DESC LIMIT ?3)
                   AND seq IS NOT (SELECT max(seq) FROM checkpoint WHERE run = ?1 AND step = ?2 AND best = 1)
               RETURNING *";
    let values = params![recorded.run.to_string(), step.as_str(), keep];
    let dropped: Vec<CheckpointRow> = collect(connection, sql, values)?;
    Ok(dropped.into_iter().filter_map(|row| row.checkpoint.artifact).collect())
}

/// Removes all rows of an ended run except its log, its annotation and its own row, which keeps its name, workflow and
/// end. Rows of artifacts stay until [`delete_unused_artifacts`].
///
/// # Errors
/// `Kept` when a person has pinned the run since the clean-up chose it.
pub(super) fn remove_run(connection: &Connection, id: RunId, at: &str) -> Result<(), StoreError> {
    let run = id.to_string();
    let kept = "SELECT 1 FROM annotation WHERE run = ?1 AND kept_at IS NOT NULL";
    if exists(connection, kept, [&run])? {
        return Err(StoreError::Kept { run: id });
    }
    let requests = Rows { table: "request", column: "run", key: &run };
    seal::change(connection, requests, "DELETE FROM request WHERE run = ?1", [&run])?;
    for table in [
        "metric",
        "series_block",
        "run_tally",
        "sample",
        "attempt_usage",
        "checkpoint",
        "attempt",
        "step_output",
        "decision",
        "signal",
        "step",
    ] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE run = ?1"))?.execute([&run])?;
    }
    connection.prepare_cached("UPDATE run SET pruned_at = ?2 WHERE id = ?1")?.execute([run.as_str(), at])?;
    Ok(())
}

/// Removes the rows of unreferenced artifacts. Call it once after removing many runs, because it scans every artifact.
pub(crate) fn delete_unused_artifacts(connection: &Connection) -> Result<(), StoreError> {
    let sql = "DELETE FROM artifact
               WHERE NOT EXISTS (SELECT 1 FROM step_output WHERE step_output.digest = artifact.digest)
                 AND NOT EXISTS (SELECT 1 FROM checkpoint WHERE checkpoint.digest = artifact.digest)";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
