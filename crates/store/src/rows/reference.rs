//! References of steps to content of the artifact store.

use std::fmt;

use rusqlite::Row;

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::{RunId, StepId};

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// A step's reference to content of the artifact store.
#[derive(Clone, PartialEq, Debug)]
pub struct Reference {
    pub run: RunId,
    pub step: StepId,
    pub holder: ReferenceHolder,
    pub artifact: ArtifactRef,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReferenceHolder {
    /// Named output.
    Output(String),
    /// Checkpoint, by the number of its event.
    Checkpoint { seq: i64, last_step: Option<u64> },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reference { run, step, holder, .. } = self;
        match holder {
            ReferenceHolder::Output(name) => write!(f, "output {run}/{step}/{name}"),
            ReferenceHolder::Checkpoint { last_step: Some(last_step), .. } => {
                write!(f, "the checkpoint of {run}/{step} at training step {last_step}")
            }
            ReferenceHolder::Checkpoint { seq, .. } => write!(f, "the checkpoint of {run}/{step} in event {seq}"),
        }
    }
}

columns! {
    pub(crate) struct ArtifactColumns { digest, size, media_type }
}

impl FromRow for ArtifactRef {
    type Columns = ArtifactColumns;

    fn from_row(row: &Row<'_>, columns: &ArtifactColumns) -> Result<ArtifactRef, StoreError> {
        Ok(ArtifactRef {
            digest: columns.digest.get(row)?,
            size: columns.size.get(row)?,
            media_type: columns.media_type.get(row)?,
        })
    }
}

columns! {
    pub(crate) struct OutputColumns { run, step, name, digest, size, media_type }
}

impl OutputColumns {
    fn artifact(&self, row: &Row<'_>) -> Result<ArtifactRef, StoreError> {
        Ok(ArtifactRef {
            digest: self.digest.get(row)?,
            size: self.size.get(row)?,
            media_type: self.media_type.get(row)?,
        })
    }
}

/// An output of a step whose run is known.
pub(crate) struct NamedArtifact {
    pub(crate) step: StepId,
    pub(crate) name: String,
    pub(crate) artifact: ArtifactRef,
}

impl FromRow for NamedArtifact {
    type Columns = OutputColumns;

    fn from_row(row: &Row<'_>, columns: &OutputColumns) -> Result<NamedArtifact, StoreError> {
        let (step, name) = (columns.step.get(row)?, columns.name.get(row)?);
        Ok(NamedArtifact { step, name, artifact: columns.artifact(row)? })
    }
}

pub(crate) struct OutputReference(pub(crate) Reference);

impl FromRow for OutputReference {
    type Columns = OutputColumns;

    fn from_row(row: &Row<'_>, columns: &OutputColumns) -> Result<OutputReference, StoreError> {
        Ok(OutputReference(Reference {
            run: columns.run.get(row)?,
            step: columns.step.get(row)?,
            holder: ReferenceHolder::Output(columns.name.get(row)?),
            artifact: columns.artifact(row)?,
        }))
    }
}

columns! {
    pub(crate) struct CheckpointReferenceColumns { seq, run, step, last_step, digest, size, media_type }
}

pub(crate) struct CheckpointReference(pub(crate) Reference);

impl FromRow for CheckpointReference {
    type Columns = CheckpointReferenceColumns;

    fn from_row(row: &Row<'_>, columns: &CheckpointReferenceColumns) -> Result<CheckpointReference, StoreError> {
        let (seq, last_step) = (columns.seq.get(row)?, columns.last_step.get(row)?);
        Ok(CheckpointReference(Reference {
            run: columns.run.get(row)?,
            step: columns.step.get(row)?,
            holder: ReferenceHolder::Checkpoint { seq, last_step },
            artifact: ArtifactRef {
                digest: columns.digest.get(row)?,
                size: columns.size.get(row)?,
                media_type: columns.media_type.get(row)?,
            },
        }))
    }
}
