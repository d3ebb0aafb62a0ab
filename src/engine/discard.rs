//! Frees the space of checkpoints that newer ones have replaced.

use std::collections::BTreeSet;

use crate::artifact::ArtifactStore;
use crate::core::artifact::{ArtifactRef, Digest};
use crate::store::Reader;

use super::drive::Engine;
use super::error::EngineError;

impl Engine<'_> {
    /// Removes content that only the dropped checkpoints used. Their rows are gone already, so a crash
    /// leaves unused files at worst. While another attempt runs, it may be about to publish equal
    /// content, and everything is kept.
    pub(super) fn discard(&mut self, dropped: &[ArtifactRef]) -> Result<(), EngineError> {
        if dropped.is_empty() || self.attempts.working() > 1 {
            return Ok(());
        }
        for digest in unused(&self.store, &self.artifacts, dropped)? {
            self.artifacts.remove(&digest)?;
        }
        Ok(())
    }
}

fn unused(
    reader: &Reader,
    artifacts: &ArtifactStore,
    dropped: &[ArtifactRef],
) -> Result<BTreeSet<Digest>, EngineError> {
    let mut candidates = BTreeSet::new();
    for artifact in dropped {
        // A damaged manifest names nothing any more.
        candidates.extend(artifacts.blobs(artifact).unwrap_or_default());
    }
    for tree in reader.trees_in_use()? {
        // What cannot be read may use anything.
        let Ok(blobs) = artifacts.blobs(&tree) else { return Ok(BTreeSet::new()) };
        candidates.retain(|digest| !blobs.contains(digest));
    }
    let mut unused = BTreeSet::new();
    for digest in candidates {
        if !reader.is_output(&digest)? {
            unused.insert(digest);
        }
    }
    Ok(unused)
}
