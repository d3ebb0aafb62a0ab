//! Frees the space of checkpoints that newer ones have replaced.
//!
//! Any tree of the state may contain a file of a dropped checkpoint. An index in memory maps each file to the trees
//! that contain it: a thread reads the manifests once, and every commit adds its own. The tables tell whether anything
//! still refers to such a tree. Therefore the work per checkpoint does not grow with the number of trees.

use std::path::Path;
use std::thread::{self, JoinHandle};

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_run::event::{Event, Recorded, StepEventKind};
use stepwell_store::{Reader, StoreError};

use crate::engine::cleanup::tree_index::TreeIndex;
use crate::error::EngineError;
use crate::options::Observer;

#[derive(Default)]
pub(crate) struct Discards {
    /// Content of dropped checkpoints that may be unused.
    dropped: Vec<ArtifactRef>,
    trees: Trees,
    /// Trees committed since the index thread started.
    committed: Vec<ArtifactRef>,
    warned: bool,
}

#[derive(Default)]
enum Trees {
    #[default]
    Unread,
    Reading(JoinHandle<Result<TreeIndex, StoreError>>),
    Known(TreeIndex),
}

impl Discards {
    /// Records a commit. The first checkpoint that can be replaced later starts the index thread.
    pub(crate) fn note(&mut self, events: &[Recorded], state_dir: &Path, artifacts: &ArtifactStore) {
        if matches!(self.trees, Trees::Unread) {
            if !events.iter().any(|recorded| is_replaceable(&recorded.event)) {
                return;
            }
            let (state_dir, artifacts) = (state_dir.to_owned(), artifacts.clone());
            let read = move || TreeIndex::read(&Reader::open(&state_dir)?, &artifacts);
            // If no thread starts, dropped content stays until the next checkpoint or `gc`.
            let Ok(reading) = thread::Builder::new().name("trees".into()).spawn(read) else { return };
            self.trees = Trees::Reading(reading);
        }
        let referred = events.iter().flat_map(|recorded| artifacts_of(&recorded.event));
        self.committed.extend(referred.filter(|artifact| artifact.is_tree()).cloned());
    }

    pub(crate) fn is_ready(&self) -> bool {
        match &self.trees {
            Trees::Unread => false,
            Trees::Reading(reading) => reading.is_finished(),
            Trees::Known(_) => true,
        }
    }

    /// Returns the index with everything committed so far; waits for the thread that reads it.
    fn index(&mut self, artifacts: &ArtifactStore) -> Result<Option<&mut TreeIndex>, StoreError> {
        self.trees = match std::mem::take(&mut self.trees) {
            Trees::Reading(reading) => match reading.join() {
                Ok(index) => Trees::Known(index?),
                // The thread panicked and reported the panic.
                Err(_) => Trees::Unread,
            },
            other => other,
        };
        let Trees::Known(index) = &mut self.trees else { return Ok(None) };
        for tree in self.committed.drain(..) {
            index.add(artifacts, tree);
        }
        Ok(Some(index))
    }

    pub(crate) fn add(&mut self, dropped: Vec<ArtifactRef>) {
        self.dropped.extend(dropped);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.dropped.is_empty()
    }

    /// Removes content that only the dropped checkpoints used. Their rows are already deleted, so a crash leaves at
    /// most unused files.
    pub(crate) fn remove(
        &mut self,
        reader: &Reader,
        artifacts: &ArtifactStore,
        observer: &mut dyn Observer,
    ) -> Result<(), EngineError> {
        let warned = self.warned;
        let dropped = std::mem::take(&mut self.dropped);
        let index = match self.index(artifacts) {
            Ok(Some(index)) => index,
            Ok(None) => {
                self.dropped = dropped;
                return Ok(());
            }
            // A damaged row of another run must not stop this run's training.
            Err(error) if error.concerns_one_run() => {
                observer.warn(&format!("content of replaced checkpoints is kept: {error}"));
                self.dropped = dropped;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some((tree, error)) = index.unreadable(artifacts) {
            if !warned {
                let tree = &tree.digest.as_str()[..16];
                observer.warn(&format!(
                    "content of replaced checkpoints is kept, because tree {tree} may refer to it and cannot be read: \
                     {error}"
                ));
            }
            self.warned = true;
            self.dropped = dropped;
            return Ok(());
        }
        for artifact in &dropped {
            // An unreadable manifest names nothing to remove.
            for content in artifacts.blobs(artifact).unwrap_or_default() {
                if !is_used(reader, index, &content)? {
                    artifacts.remove(&content)?;
                }
            }
        }
        Ok(())
    }
}

/// True if a later checkpoint drops this one.
fn is_replaceable(event: &Event) -> bool {
    matches!(event.step_kind(), Some(StepEventKind::CheckpointCommitted { checkpoint }) if checkpoint.keep.is_some())
}

fn artifacts_of(event: &Event) -> Vec<&ArtifactRef> {
    match event.step_kind() {
        Some(
            StepEventKind::CheckpointCommitted { checkpoint } | StepEventKind::CheckpointAdopted { checkpoint, .. },
        ) => checkpoint.artifact.iter().collect(),
        Some(StepEventKind::Succeeded { outputs } | StepEventKind::Reused { outputs, .. }) => {
            outputs.artifacts.values().collect()
        }
        _ => Vec::new(),
    }
}

/// True if an output or a checkpoint refers to this content, directly or through a tree.
fn is_used(reader: &Reader, index: &TreeIndex, content: &Digest) -> Result<bool, StoreError> {
    for holder in std::iter::once(content).chain(index.trees_around(content)) {
        if reader.is_referenced(holder)? {
            return Ok(true);
        }
    }
    Ok(false)
}
