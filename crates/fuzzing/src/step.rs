//! Runs a step in its own state directory, without an engine.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::{AttemptRequest, MetricRow, Progress, SeriesChange};
use stepwell_steps::{DocumentReader, Reporter, StepContext, StepError, StepHandler, document_files};

pub(super) struct Step {
    directory: TempDir,
    artifacts: ArtifactStore,
}

impl Step {
    pub(super) fn new() -> Step {
        let directory = tempfile::tempdir().expect("the folder for temporary files is writable");
        let artifacts = ArtifactStore::open(directory.path()).expect("a new folder is writable");
        Step { directory, artifacts }
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).expect("a new folder is writable");
        path
    }

    pub(super) fn run(&self, handler: &dyn StepHandler, with: &Value) -> Result<Outputs, Failure> {
        let fingerprint = handler.fingerprint(with)?;
        let request = AttemptRequest {
            run: RunId(uuid::Uuid::nil()),
            run_name: "fuzz".to_owned(),
            step: StepId::from("step"),
            kind: handler.kind().to_owned(),
            attempt: 1,
            fence: Fence(1),
            key: StepKey("key".to_owned()),
            with: with.clone(),
            secrets: Default::default(),
            fingerprint,
            state_dir: self.directory.path().to_owned(),
            scratch_dir: self.directory.path().join("scratch"),
            project_dir: PathBuf::new(),
            checkpoints: Vec::new(),
            forked_at: None,
            measured_up_to: None,
        };
        // As an engine does: steps keep in it what survives an attempt.
        fs::create_dir_all(&request.scratch_dir).expect("a new folder is writable");
        let mut context =
            StepContext { request: &request, artifacts: &self.artifacts, reporter: &mut Watched::default() };
        match handler.run(&mut context) {
            Ok(outputs) => Ok(outputs),
            Err(StepError::Failed(failure)) => Err(failure),
            Err(StepError::Interrupted) => panic!("nobody has interrupted the step"),
        }
    }

    pub(super) fn read(&self, artifact: &ArtifactRef) -> Vec<u8> {
        self.artifacts.read(artifact).expect("what was published can be read")
    }

    /// Texts of documents, read in the same way as by later steps.
    pub(super) fn texts(&self, documents: &ArtifactRef) -> Vec<String> {
        let files = document_files(&self.artifacts, documents, None).expect("what was published can be read");
        let mut reader = DocumentReader::new(files);
        let next = || reader.next_document().expect("what was published are documents");
        std::iter::from_fn(next).map(|document| document.text).collect()
    }
}

/// Records the progress and the series that a step reports.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) progress: Vec<Progress>,
    pub(super) series: Vec<SeriesChange>,
}

impl Reporter for Watched {
    fn progress(&mut self, progress: Progress) {
        self.progress.push(progress);
    }

    fn metric(&mut self, _: MetricRow) {}

    fn series(&mut self, change: SeriesChange) {
        self.series.push(change);
    }

    fn rewind(&mut self, _: u64) {}

    fn checkpoint(&mut self, _: Checkpoint) -> Result<(), StepError> {
        Ok(())
    }

    fn note(&mut self, _: String) {}

    fn interrupted(&self) -> bool {
        false
    }
}
