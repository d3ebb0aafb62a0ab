//! Copies the result of every `export` step out of the store, to a folder where a person looks for it.

use std::path::{Path, PathBuf};

use super::error::CliError;
use super::output::short_id;
use stepwell_artifact::ArtifactStore;
use stepwell_base::names::path_component;
use stepwell_run::status::StepStatus;
use stepwell_store::{RunRow, StepRow};

/// Creates `<state>/exports/<run name>-<id>/<step>` for each export step. An existing folder keeps its files and gets
/// the missing ones.
pub fn materialise(state_dir: &Path, run: &RunRow, steps: &[StepRow]) -> Result<Vec<PathBuf>, CliError> {
    let parent = state_dir.join("exports").join(format!("{}-{}", path_component(&run.name), short_id(run.id)));
    let exports = steps.iter().filter(|step| step.kind == "export" && step.status == StepStatus::Succeeded);
    let mut folders = Vec::new();
    for step in exports {
        let Some(folder) = step.outputs.as_ref().and_then(|outputs| outputs.artifacts.get("folder")) else { continue };
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
