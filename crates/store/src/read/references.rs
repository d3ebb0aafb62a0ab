//! Queries on references to content. An index answers every query about one digest.

use rusqlite::{Connection, params};

use stepwell_base::artifact::{ArtifactRef, Digest, TREE_MEDIA_TYPE};
use stepwell_base::ids::{RunId, StepId};

use super::reader::Reader;
use crate::decode::{collect, exists, first};
use crate::error::StoreError;
use crate::rows::{CheckpointReference, OutputReference, Reference};

const OUTPUTS: &str = "SELECT run, step, name, digest, size, media_type FROM step_output";

impl Reader {
    /// References of outputs and checkpoints, of one run or of all.
    pub fn references(&self, run: Option<RunId>) -> Result<Vec<Reference>, StoreError> {
        self.query(|connection| {
            let run = run.map(|run| run.to_string());
            let of_run = if run.is_some() { "run = ?1" } else { "?1 IS NULL" };
            let sql = format!("{OUTPUTS} WHERE {of_run} ORDER BY run DESC, step, name");
            let outputs = collect::<OutputReference>(connection, &sql, [&run])?;
            let sql = format!("SELECT * FROM checkpoint WHERE {of_run} AND digest IS NOT NULL ORDER BY seq DESC");
            let checkpoints = collect::<CheckpointReference>(connection, &sql, [&run])?;
            let outputs = outputs.into_iter().map(|OutputReference(found)| found);
            Ok(outputs.chain(checkpoints.into_iter().map(|CheckpointReference(found)| found)).collect())
        })
    }

    /// One output of a step by name.
    pub fn output(&self, run: RunId, step: &str, name: &str) -> Result<Option<Reference>, StoreError> {
        let sql = format!("{OUTPUTS} WHERE run = ?1 AND step = ?2 AND name = ?3");
        let found = self.query(|connection| first(connection, &sql, params![run.to_string(), step, name]))?;
        Ok(found.map(|OutputReference(found)| found))
    }

    /// The newest output for each content whose digest starts with `prefix`, at most `most` of them.
    pub fn outputs_like(&self, prefix: &str, most: usize) -> Result<Vec<Reference>, StoreError> {
        self.query(|connection| {
            // `g` sorts after every hexadecimal digit.
            let sql = "SELECT DISTINCT digest FROM step_output WHERE digest >= ?1 AND digest < ?1 || 'g'
                       ORDER BY digest LIMIT ?2";
            let values = params![prefix, i64::try_from(most).unwrap_or(i64::MAX)];
            let digests: Vec<Digest> = collect(connection, sql, values)?;
            let newest = digests.iter().map(|digest| newest_output(connection, digest));
            Ok(newest.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        })
    }

    /// Every step that produced this content, newest run first.
    pub fn producers(&self, digest: &Digest) -> Result<Vec<(RunId, StepId)>, StoreError> {
        let sql = "SELECT run, step FROM step_output WHERE digest = ?1 ORDER BY run DESC, step, name";
        self.query(|connection| collect(connection, sql, [digest.as_str()]))
    }

    /// True if an output, a checkpoint, a file or an open batch refers to exactly this content; a tree that contains it does not count.
    pub fn is_referenced(&self, digest: &Digest) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM step_output WHERE digest = ?1
                   UNION ALL SELECT 1 FROM checkpoint WHERE digest = ?1
                   UNION ALL SELECT 1 FROM file WHERE digest = ?1
                   UNION ALL SELECT 1 FROM batch WHERE ending IS NULL AND input ->> 'digest' = ?1 LIMIT 1";
        self.query(|connection| exists(connection, sql, [digest.as_str()]))
    }

    /// Every tree that an output or a checkpoint refers to, without duplicates.
    pub fn trees_in_use(&self) -> Result<Vec<ArtifactRef>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT digest, size, media_type FROM step_output WHERE media_type = ?1
                       UNION SELECT digest, size, media_type FROM checkpoint WHERE media_type = ?1";
            collect(connection, sql, [TREE_MEDIA_TYPE])
        })
    }
}

fn newest_output(connection: &Connection, digest: &Digest) -> Result<Option<Reference>, StoreError> {
    let sql = format!("{OUTPUTS} WHERE digest = ?1 ORDER BY run DESC, step, name LIMIT 1");
    Ok(first(connection, &sql, [digest.as_str()])?.map(|OutputReference(found)| found))
}
