//! Checkpoints that newer ones have replaced.

use rusqlite::{Connection, params};

use crate::core::artifact::ArtifactRef;
use crate::core::event::{Event, Recorded};

use super::decode;
use super::error::StoreError;

/// Drops what the `keep` of a committed checkpoint makes superfluous, and returns the artifacts of those rows.
pub(super) fn drop_replaced(connection: &Connection, recorded: &Recorded) -> Result<Vec<ArtifactRef>, StoreError> {
    let Event::CheckpointCommitted { step, checkpoint, .. } = &recorded.event else { return Ok(Vec::new()) };
    let Some(keep) = checkpoint.keep else { return Ok(Vec::new()) };
    let sql = "DELETE FROM checkpoint WHERE run = ?1 AND step = ?2 AND permanent = 0 AND seq NOT IN
                   (SELECT seq FROM checkpoint WHERE run = ?1 AND step = ?2 AND permanent = 0 ORDER BY seq DESC LIMIT ?3)
               RETURNING *";
    let rows = decode::collect(connection, sql, params![recorded.run.to_string(), step.as_str(), keep], |row| {
        Ok(decode::checkpoint(row)?.checkpoint.artifact)
    })?;
    Ok(rows.into_iter().flatten().collect())
}
