//! Describes the runs that a clean-up removes, so that a person recognises a good one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkdir::WalkDir;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::Digest;
use stepwell_store::{Annotation, RUNS_DIR, Reader, RunRow, StepRow, TENSORBOARD_DIR, tensorboard_folder};

use super::error::MaintenanceError;

/// Names of values that tell how good a model is, best first.
const TELLING: [&str; 4] = ["bits_per_byte", "val_loss", "loss", "perplexity"];

/// A run that a clean-up has removed, or would remove.
#[derive(Clone, PartialEq, Debug)]
pub struct PrunedRun {
    pub row: RunRow,
    pub annotation: Annotation,
    /// The number that tells most about the run's result.
    pub figure: Option<Figure>,
    /// Content that no other run needs, scratch files and logs.
    pub bytes: u64,
}

/// A run that a clean-up has chosen.
pub(crate) struct Chosen {
    /// `bytes` has only logs and scratch files yet.
    pub run: PrunedRun,
    /// Content that the run refers to, which other runs may need too.
    pub content: BTreeSet<Digest>,
}

/// A number that a step gave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Figure {
    pub step: String,
    pub name: String,
    pub value: f64,
}

impl Chosen {
    pub(super) fn describe(
        reader: &Reader,
        artifacts: &ArtifactStore,
        state_dir: &Path,
        row: RunRow,
        by: Option<(&str, &str)>,
    ) -> Result<Chosen, MaintenanceError> {
        let references = reader.references(Some(row.id))?;
        // A tree that cannot be read is not counted.
        let content = references.iter().filter_map(|reference| artifacts.blobs(&reference.artifact).ok()).flatten();
        let content = content.collect();
        let run = PrunedRun {
            figure: figure(&reader.overview(row.id, 0)?, by),
            annotation: reader.annotation(row.id)?,
            bytes: folders_of(state_dir, &row).iter().map(|folder| bytes_in(folder)).sum(),
            row,
        };
        Ok(Chosen { run, content })
    }
}

/// The folders that only one run has: scratch files and logs, and event files.
pub(super) fn folders_of(state_dir: &Path, row: &RunRow) -> [PathBuf; 2] {
    let events = state_dir.join(TENSORBOARD_DIR).join(tensorboard_folder(&row.name, row.id));
    [state_dir.join(RUNS_DIR).join(row.id.to_string()), events]
}

fn bytes_in(folder: &Path) -> u64 {
    let files = WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.metadata().map_or(0, |metadata| metadata.len())).sum()
}

/// The value that a person judges runs by; else the most telling value of the last step that has one, else the last loss
/// of a training.
fn figure(steps: &[StepRow], by: Option<(&str, &str)>) -> Option<Figure> {
    let asked_for = |step: &StepRow| {
        let (_, name) = by.filter(|(wanted, _)| step.id.as_str() == *wanted)?;
        Some(named(step, name, number(step, name)?))
    };
    let loss = |step: &StepRow| Some(named(step, "loss", step.loss?));
    let last = |of: &dyn Fn(&StepRow) -> Option<Figure>| steps.iter().rev().find_map(of);
    last(&asked_for).or_else(|| last(&telling_value)).or_else(|| last(&loss))
}

fn number(step: &StepRow, name: &str) -> Option<f64> {
    step.outputs.as_ref()?.values.get(name).and_then(Value::as_f64)
}

fn telling_value(step: &StepRow) -> Option<Figure> {
    TELLING.iter().find_map(|name| Some(named(step, name, number(step, name)?)))
}

fn named(step: &StepRow, name: &str, value: f64) -> Figure {
    Figure { step: step.id.to_string(), name: name.to_owned(), value }
}
