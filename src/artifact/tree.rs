//! Trees: a manifest that gives relative paths to artifacts. Its canonical JSON is a list sorted by
//! path, with the keys of each entry in alphabetical order and no white space, so equal trees have
//! equal digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::artifact::{ArtifactRef, Digest};

use super::error::ArtifactError;

/// A folder of artifacts; an entry may be a tree itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    /// By path: relative, `/` between components.
    pub entries: BTreeMap<String, ArtifactRef>,
}

/// One line of the manifest; the order of the fields is the canonical order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    digest: Digest,
    media_type: String,
    path: String,
    size: u64,
}

impl Tree {
    /// The manifest's bytes.
    ///
    /// # Errors
    /// When a path is not relative and plain, or lies below another entry.
    pub fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        self.check()?;
        let entries: Vec<Entry> = self
            .entries
            .iter()
            .map(|(path, artifact)| Entry {
                digest: artifact.digest.clone(),
                media_type: artifact.media_type.clone(),
                path: path.clone(),
                size: artifact.size,
            })
            .collect();
        serde_json::to_vec(&entries).map_err(|error| ArtifactError::InvalidTree { reason: error.to_string() })
    }

    /// # Errors
    /// When the bytes are not a manifest that `encode` can have written.
    pub fn decode(manifest: &[u8]) -> Result<Tree, ArtifactError> {
        let list: Vec<Entry> = serde_json::from_slice(manifest)
            .map_err(|error| ArtifactError::InvalidTree { reason: format!("not a manifest: {error}") })?;
        let length = list.len();
        let entries: BTreeMap<String, ArtifactRef> = list
            .into_iter()
            .map(|e| (e.path, ArtifactRef { digest: e.digest, size: e.size, media_type: e.media_type }))
            .collect();
        if entries.len() != length {
            return Err(ArtifactError::InvalidTree { reason: "a path occurs twice".to_owned() });
        }
        let tree = Tree { entries };
        tree.check()?;
        Ok(tree)
    }

    fn check(&self) -> Result<(), ArtifactError> {
        for path in self.entries.keys() {
            let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
            if !path.split('/').all(plain) {
                return Err(ArtifactError::InvalidTree { reason: format!("`{path}` is not a plain relative path") });
            }
            let mut parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            if let Some(parent) = parents.find(|parent| self.entries.contains_key(*parent)) {
                let reason = format!("`{parent}` is both an entry and a folder of `{path}`");
                return Err(ArtifactError::InvalidTree { reason });
            }
        }
        Ok(())
    }
}
