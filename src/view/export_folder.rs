//! Copies exported folders out of the store, to a place where a person looks for them.

use std::path::{Path, PathBuf};

use super::output::short_id;
use crate::error::CliError;
use crate::session::Session;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::RunId;
use stepwell_base::names::path_component;
use stepwell_run::status::StepStatus;
use stepwell_steps::Highlight;
use stepwell_store::{RunRow, StepRow};

/// The directories of exports.
#[derive(Clone, Debug)]
pub struct ExportFolder {
    state_dir: PathBuf,
    export_dir: PathBuf,
}

impl ExportFolder {
    pub fn of(session: &Session) -> ExportFolder {
        ExportFolder::at(session.state_dir(), &session.settings.export_dir.value)
    }

    pub fn at(state_dir: &Path, export_dir: &Path) -> ExportFolder {
        ExportFolder { state_dir: state_dir.to_owned(), export_dir: export_dir.to_owned() }
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The folder of a run's exports: `<export_dir>/<name>-<short id>`, or the one in the state directory that an older
    /// build has made. The id keeps runs of one name apart, and leaves other folders alone.
    pub fn of_run(&self, run: &RunRow) -> PathBuf {
        let name = path_component(&run.name);
        let old = self.state_dir.join("exports").join(format!("{name}-{}", old_short_id(run.id)));
        if old.is_dir() { old } else { self.export_dir.join(format!("{name}-{}", short_id(run.id))) }
    }

    /// Creates `<folder of the run>/<step>` for each succeeded step whose kind exports a folder. Existing files stay as
    /// they are; missing ones are added.
    pub fn materialise(&self, run: &RunRow, steps: &[StepRow]) -> Result<Vec<PathBuf>, CliError> {
        let parent = self.of_run(run);
        let mut folders = Vec::new();
        for step in steps.iter().filter(|step| step.status == StepStatus::Succeeded) {
            let Some(folder) = exported(step) else { continue };
            let dest = parent.join(path_component(step.id.as_str()));
            let artifacts = ArtifactStore::open(&self.state_dir)?;
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
}

/// The start of a run's id, which named the folders of older builds.
fn old_short_id(run: RunId) -> String {
    run.to_string()[..13].to_owned()
}

/// The output that the kind of a step declares as its exported folder.
fn exported(step: &StepRow) -> Option<&ArtifactRef> {
    match stepwell_steps::find(&step.kind)?.highlight() {
        Highlight::Folder(name) => step.outputs.as_ref()?.artifacts.get(name),
        _ => None,
    }
}
