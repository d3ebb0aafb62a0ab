//! The files of the model, wherever they lie, and a digest of all of them.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::arguments::Source;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_models::ModelFiles;

/// Name of the tokenizer among the files of a model.
const TOKENIZER: &str = "tokenizer.json";
/// Name of a model that is one file of an artifact.
const SINGLE: &str = "model.gguf";

/// Finds the files of a model and verifies those of an artifact.
///
/// # Errors
/// When the artifact is damaged, or the path cannot be read.
pub(crate) fn files(
    (model, tokenizer): (&Source, Option<&ArtifactRef>),
    artifacts: &ArtifactStore,
    project: &Path,
) -> Result<ModelFiles, Failure> {
    let mut files: Vec<(String, PathBuf)> = match model {
        Source::Output(artifact) if artifact.is_tree() => {
            let tree = artifacts.read_tree(artifact)?;
            let file = |(name, entry): (&String, _)| Ok::<_, Failure>((name.clone(), artifacts.verified_path(entry)?));
            tree.entries.iter().map(file).collect::<Result<_, _>>()?
        }
        Source::Output(artifact) => vec![(SINGLE.to_owned(), artifacts.verified_path(artifact)?)],
        Source::Path(path) => {
            let found = ModelFiles::at(&project.join(path)).map_err(unusable)?;
            found.iter().map(|(name, path)| (name.to_owned(), path.to_owned())).collect()
        }
    };
    if let Some(tokenizer) = tokenizer {
        files.retain(|(name, _)| name != TOKENIZER);
        files.push((TOKENIZER.to_owned(), artifacts.verified_path(tokenizer)?));
    }
    Ok(files.into_iter().collect())
}

/// Digest of all names and contents of a folder or file.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn digest_of(files: &ModelFiles) -> Result<String, Failure> {
    let mut hasher = blake3::Hasher::new_derive_key("stepwell model files 1");
    for (name, path) in files.iter() {
        let mut file = blake3::Hasher::new();
        let read = File::open(path).and_then(|open| file.update_reader(open).map(drop));
        read.map_err(|error| Failure::io(format!("cannot read `{}`", path.display()), &error))?;
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(file.finalize().as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

pub(super) fn unusable(error: stepwell_models::ModelError) -> Failure {
    Failure::from_error(stepwell_base::failure::FailureKind::Fatal, &error)
}
