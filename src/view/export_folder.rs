//! Copies exported folders out of the store, to a place where a person looks for them.

use std::path::{Path, PathBuf};

use super::output::short_id;
use crate::error::CliError;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::names::path_component;
use stepwell_run::status::StepStatus;
use stepwell_steps::Highlight;
use stepwell_store::{RunRow, StepRow};

/// Creates `<state>/exports/<run name>-<id>/<step>` for each succeeded step whose kind exports a folder. An existing folder keeps its files and gets
/// the missing ones.
pub fn materialise(state_dir: &Path, run: &RunRow, steps: &[StepRow]) -> Result<Vec<PathBuf>, CliError> {
    let parent = state_dir.join("exports").join(format!("{}-{}", path_component(&run.name), short_id(run.id)));
    let mut folders = Vec::new();
    for step in steps.iter().filter(|step| step.status == StepStatus::Succeeded) {
        let Some(folder) = exported(step) else { continue };
        let dest = parent.join(path_component(step.id.as_str()));
        let artifacts = ArtifactStore::open(state_dir)?;
        if dest.exists() {
            for (name, file) in artifacts.read_tree(folder)?.entries {
                let path = dest.join(name);
                if !path.exists() {
                    artifacts.materialise(&file, &path)?;
                }
            }
        } else {
            artifacts.materialise(folder, &dest)?;
        }
        folders.push(dest);
    }
    Ok(folders)
}

/// The output that the kind of a step declares as its exported folder.
fn exported(step: &StepRow) -> Option<&ArtifactRef> {
    match stepwell_steps::find(&step.kind)?.highlight() {
        Highlight::Folder(name) => step.outputs.as_ref()?.artifacts.get(name),
        _ => None,
    }
}
