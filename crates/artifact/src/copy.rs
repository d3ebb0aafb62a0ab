//! Compares copies outside a store with the artifact that they should hold. Needs no store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use walkdir::WalkDir;

use stepwell_base::artifact::{ArtifactRef, Digest};

use super::error::ArtifactError;
use super::local::{ArtifactStore, for_each_chunk};
use super::tree::Tree;

/// Lists the differences between `path` and the artifact. `trees` holds the manifests of all trees in it.
pub fn copy_differences(
    path: &Path,
    artifact: &ArtifactRef,
    trees: &BTreeMap<Digest, BTreeMap<String, ArtifactRef>>,
) -> Result<Vec<String>, ArtifactError> {
    let mut problems = Vec::new();
    compare(path, artifact, trees, &mut problems)?;
    Ok(problems)
}

impl ArtifactStore {
    /// Returns true when `path` holds the artifact and nothing else.
    pub fn is_copy(&self, path: &Path, artifact: &ArtifactRef) -> Result<bool, ArtifactError> {
        let mut trees = BTreeMap::new();
        let mut waiting = vec![artifact.clone()];
        while let Some(artifact) = waiting.pop() {
            if artifact.is_tree() && !trees.contains_key(&artifact.digest) {
                let entries = self.read_tree(&artifact)?.entries;
                waiting.extend(entries.values().cloned());
                trees.insert(artifact.digest, entries);
            }
        }
        Ok(copy_differences(path, artifact, &trees)?.is_empty())
    }
}

fn compare(
    path: &Path,
    artifact: &ArtifactRef,
    trees: &BTreeMap<Digest, BTreeMap<String, ArtifactRef>>,
    problems: &mut Vec<String>,
) -> Result<(), ArtifactError> {
    if !artifact.is_tree() {
        if !path.is_file() {
            problems.push(format!("`{}` is missing or no file", path.display()));
            return Ok(());
        }
        let actual = file_digest(path)?;
        if actual != artifact.digest {
            problems.push(format!("`{}` has digest {actual}, not {}", path.display(), artifact.digest));
        }
        return Ok(());
    }
    let Some(entries) = trees.get(&artifact.digest) else {
        problems.push(format!("the list of files of tree {} is missing", artifact.digest));
        return Ok(());
    };
    let manifest = Tree { entries: entries.clone() }.encode()?;
    if Digest::of(&manifest) != artifact.digest {
        problems.push(format!("the list of files of tree {} was changed", artifact.digest));
    }
    let mut expected = BTreeSet::new();
    for (name, entry) in entries {
        compare(&path.join(name), entry, trees, problems)?;
        expected.insert(path.join(name));
    }
    for found in WalkDir::new(path) {
        let found = found.map_err(|error| ArtifactError::io("read the folder", path, error.into()))?;
        if !found.file_type().is_dir() && !expected.iter().any(|known| found.path().starts_with(known)) {
            problems.push(format!("`{}` is not part of the artifact", found.path().display()));
        }
    }
    Ok(())
}

fn file_digest(path: &Path) -> Result<Digest, ArtifactError> {
    let mut hasher = blake3::Hasher::new();
    for_each_chunk(path, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok(hasher.finalize().into())
}
