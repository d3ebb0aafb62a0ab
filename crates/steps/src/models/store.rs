//! Models in the artifact store, for the steps that use them.

use std::path::PathBuf;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_models::{Model, ModelFiles};

/// Files of a model artifact, verified: the output `model` of `model.import` or `train`, or `folder` of `export`.
///
/// # Errors
/// When the artifact is no folder, or a file is missing or damaged.
pub fn model_files(artifacts: &ArtifactStore, model: &ArtifactRef) -> Result<ModelFiles, Failure> {
    let tree = artifacts.read_tree(model)?;
    let path = |(name, file): (String, ArtifactRef)| -> Result<(String, PathBuf), Failure> {
        Ok((name, artifacts.verified_path(&file)?))
    };
    tree.entries.into_iter().map(path).collect()
}

/// Opens a model artifact. The output of `train` has no tokenizer, and needs that with which it was trained.
///
/// # Errors
/// Those of [`model_files`], and what is not known about the model, by name.
pub fn open_model(
    artifacts: &ArtifactStore,
    model: &ArtifactRef,
    tokenizer: Option<&ArtifactRef>,
) -> Result<Model, Failure> {
    let mut files = model_files(artifacts, model)?;
    if let Some(tokenizer) = tokenizer {
        files = files.with("tokenizer.json", artifacts.verified_path(tokenizer)?);
    }
    Model::from_files(&files).map_err(|error| {
        let hint = error.hint();
        Failure::from_error(FailureKind::Fatal, &error).with_hint(hint)
    })
}
