//! Trees: manifests that map relative paths to artifacts. The canonical JSON is a list sorted by path, with
//! alphabetical keys in each entry and without white space, so equal trees have equal digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use stepwell_base::artifact::{ArtifactRef, Digest};

use super::error::ArtifactError;

/// A folder of artifacts. An entry may itself be a tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    /// Keyed by relative path, with `/` between components.
    pub entries: BTreeMap<String, ArtifactRef>,
}

/// One entry of the manifest. The order of the fields is the canonical order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    digest: Digest,
    media_type: String,
    path: String,
    size: u64,
}

impl Tree {
    /// Encodes the manifest.
    ///
    /// # Errors
    /// `InvalidTree` when a path is not relative and plain, or lies below another entry.
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

    /// Decodes a manifest.
    ///
    /// # Errors
    /// `InvalidTree` when `encode` cannot have written these bytes.
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
