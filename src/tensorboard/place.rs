//! Folders of event files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::path_component;
use stepwell_store::{Reader, RunRow, StoreError, TENSORBOARD_DIR};
use stepwell_tensorboard::{Heading, Hyperparameter};

/// Folder with an empty file for each run whose folders may be out of date.
const OPEN: &str = ".open";
/// Most series of a run that get a folder by themselves.
const MOST_FOLDERS: usize = 200;
/// Longest text of a parameter in the table of hyperparameters.
const LONGEST: usize = 200;

/// A folder for the event files of many runs.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// The folder in a state directory, which engines keep up to date.
    pub fn of_state(state_dir: &Path) -> Place {
        Place { root: state_dir.join(TENSORBOARD_DIR) }
    }

    pub fn at(root: &Path) -> Place {
        Place { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn of_run(&self, run: &RunRow) -> PathBuf {
        self.root.join(stepwell_store::tensorboard_folder(&run.name, run.id))
    }

    /// The folder of a series, `<run name>-<short id>/<step>`.
    pub fn of_series(&self, run: &RunRow, step: &StepId) -> PathBuf {
        self.of_run(run).join(path_component(step.as_str()))
    }

    /// True if a series has a folder, or may get one: a fan-out of 100,000 steps must not make as many folders.
    pub fn has_room(&self, run: &RunRow, step: &StepId) -> bool {
        let folders = || fs::read_dir(self.of_run(run)).map_or(0, |entries| entries.take(MOST_FOLDERS).count());
        self.of_series(run, step).is_dir() || folders() < MOST_FOLDERS
    }

    /// Remembers, for the next process, that the folders of a run may be out of date.
    pub fn mark_open(&self, run: RunId) -> io::Result<()> {
        let folder = self.root.join(OPEN);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(run.to_string()), "")
    }

    pub fn mark_done(&self, run: RunId) -> io::Result<()> {
        match fs::remove_file(self.root.join(OPEN).join(run.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs that were marked by [`Place::mark_open`].
    pub fn open_runs(&self) -> Vec<RunId> {
        let entries = fs::read_dir(self.root.join(OPEN)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

/// The parameters of a run, for the table of hyperparameters.
pub fn heading(reader: &Reader, run: &RunRow) -> Result<Heading, StoreError> {
    let parameters = reader.spec(run.id)?.params.into_iter();
    let parameters = parameters.map(|(name, value)| (name, hyperparameter(&value))).collect();
    Ok(Heading { group: run.name.clone(), parameters })
}

fn hyperparameter(value: &Value) -> Hyperparameter {
    match value {
        Value::Bool(flag) => Hyperparameter::Flag(*flag),
        Value::Number(number) => Hyperparameter::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Hyperparameter::Text(text.chars().take(LONGEST).collect()),
        other => Hyperparameter::Text(other.to_string().chars().take(LONGEST).collect()),
    }
}
