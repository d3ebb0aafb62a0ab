//! Rows of checkpoints.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::StepId;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct CheckpointRow {
    /// Number of the event that committed it.
    pub seq: i64,
    pub attempt: u32,
    pub at: Timestamp,
    pub checkpoint: Checkpoint,
}

columns! {
    pub(crate) struct CheckpointColumns {
        seq, step, attempt, at, last_doc_index, tokens_so_far, last_step, loss, phase, permanent, state, digest, size,
        media_type, val_loss, best,
    }
}

impl FromRow for CheckpointRow {
    type Columns = CheckpointColumns;

    fn from_row(row: &Row<'_>, columns: &CheckpointColumns) -> Result<CheckpointRow, StoreError> {
        let artifact = match columns.digest.get::<Option<Digest>>(row)? {
            None => None,
            Some(digest) => {
                let (media_type, size) = (columns.media_type.get(row)?, columns.size.get(row)?);
                Some(ArtifactRef { digest, size, media_type })
            }
        };
        Ok(CheckpointRow {
            seq: columns.seq.get(row)?,
            attempt: columns.attempt.get(row)?,
            at: columns.at.get(row)?,
            checkpoint: Checkpoint {
                artifact,
                state: columns.state.json(row)?,
                last_step: columns.last_step.get(row)?,
                last_doc_index: columns.last_doc_index.get(row)?,
                tokens_so_far: columns.tokens_so_far.get(row)?,
                loss: columns.loss.get(row)?,
                phase: columns.phase.get(row)?,
                permanent: columns.permanent.get(row)?,
                keep: None,
                val_loss: columns.val_loss.get(row)?,
                best: columns.best.get(row)?,
            },
        })
    }
}

/// A checkpoint with its step.
pub(crate) struct CheckpointOf {
    pub(crate) step: StepId,
    pub(crate) row: CheckpointRow,
}

impl FromRow for CheckpointOf {
    type Columns = CheckpointColumns;

    fn from_row(row: &Row<'_>, columns: &CheckpointColumns) -> Result<CheckpointOf, StoreError> {
        Ok(CheckpointOf { row: CheckpointRow::from_row(row, columns)?, step: columns.step.get(row)? })
    }
}
