//! Indexes trees by the files in them. A tree never changes, so each manifest is read once.

use std::collections::{HashMap, HashSet};

use stepwell_artifact::{ArtifactError, ArtifactStore};
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_store::{Reader, StoreError};

#[derive(Default)]
pub(crate) struct TreeIndex {
    /// For each content: the trees that contain it, including nested trees and their own manifests.
    around: HashMap<Digest, Vec<Digest>>,
    known: HashSet<Digest>,
    /// Trees with unknown content.
    unreadable: Vec<(ArtifactRef, ArtifactError)>,
}

impl TreeIndex {
    /// Reads every tree that an output or a checkpoint refers to.
    pub(crate) fn read(reader: &Reader, artifacts: &ArtifactStore) -> Result<TreeIndex, StoreError> {
        let mut index = TreeIndex::default();
        for tree in reader.trees_in_use()? {
            index.add(artifacts, tree);
        }
        Ok(index)
    }

    pub(crate) fn add(&mut self, artifacts: &ArtifactStore, tree: ArtifactRef) {
        if self.known.contains(&tree.digest) {
            return;
        }
        match artifacts.blobs(&tree) {
            Ok(contents) => {
                for content in contents {
                    self.around.entry(content).or_default().push(tree.digest.clone());
                }
                self.known.insert(tree.digest);
            }
            // A tree without its manifest is useless.
            Err(ArtifactError::Missing { digest, .. }) if digest == tree.digest => {}
            Err(error) => self.unreadable.push((tree, error)),
        }
    }

    /// Retries unreadable trees and returns one that stays unreadable. Such a tree may contain anything.
    pub(crate) fn unreadable(&mut self, artifacts: &ArtifactStore) -> Option<&(ArtifactRef, ArtifactError)> {
        for (tree, _) in std::mem::take(&mut self.unreadable) {
            self.add(artifacts, tree);
        }
        self.unreadable.first()
    }

    pub(crate) fn trees_around(&self, content: &Digest) -> &[Digest] {
        self.around.get(content).map_or(&[], Vec::as_slice)
    }
}
