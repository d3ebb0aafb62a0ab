//! A state directory and an artifact store, in which tests run one step after another.

use std::cell::Cell;
use std::path::PathBuf;

use serde_json::Value;

use super::recorder::Recorder;
use crate::corpus_documents::{Document, DocumentReader, document_files, write_document};
use crate::{StepContext, StepError, StepHandler, Surroundings};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::AttemptRequest;

pub struct StepLab {
    pub directory: tempfile::TempDir,
    pub artifacts: ArtifactStore,
    /// Folder of the workflow file; empty if there is none.
    pub project: PathBuf,
}

impl StepLab {
    pub fn new() -> StepLab {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = ArtifactStore::open(directory.path()).unwrap();
        StepLab { directory, artifacts, project: PathBuf::new() }
    }

    pub fn step_directory(&self) -> PathBuf {
        self.directory.path().join("runs/run/step")
    }

    pub fn scratch(&self) -> PathBuf {
        self.step_directory().join("scratch")
    }

    /// Runs one attempt of `run`, with the checkpoints that the recorder holds.
    pub fn attempt<T>(
        &self,
        with: &Value,
        recorder: &mut Recorder,
        run: impl FnOnce(&mut StepContext<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        self.attempt_with(with, Value::Null, recorder, run)
    }

    /// Like [`StepLab::attempt`], with this fingerprint from the engine.
    pub fn attempt_with<T>(
        &self,
        with: &Value,
        fingerprint: Value,
        recorder: &mut Recorder,
        run: impl FnOnce(&mut StepContext<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        std::fs::create_dir_all(self.scratch()).unwrap();
        let request = AttemptRequest {
            run: RunId(uuid::Uuid::nil()),
            run_name: "test".to_owned(),
            step: StepId::from("step"),
            kind: "test".to_owned(),
            attempt: 1,
            fence: Fence(1),
            key: StepKey("key".to_owned()),
            with: with.clone(),
            secrets: Default::default(),
            fingerprint,
            state_dir: self.directory.path().to_owned(),
            scratch_dir: self.scratch(),
            project_dir: self.project.clone(),
            // Newest first, as an engine sends them.
            checkpoints: recorder.checkpoints.iter().rev().cloned().collect(),
            forked_at: None,
            measured_up_to: None,
        };
        recorder.connect(&self.artifacts);
        let ended = run(&mut StepContext { request: &request, artifacts: &self.artifacts, reporter: recorder });
        recorder.disconnect();
        ended
    }

    /// Runs one attempt of a handler, with the checkpoints that the recorder holds.
    pub fn attempt_of(
        &self,
        handler: &dyn StepHandler,
        with: &Value,
        recorder: &mut Recorder,
    ) -> Result<Outputs, StepError> {
        let surroundings = Surroundings { project: &self.project, file: None, earlier: None };
        let fingerprint = handler.fingerprint_in(with, &surroundings)?;
        self.attempt_with(with, fingerprint, recorder, |context| handler.run(context))
    }

    /// Runs a step without interruption.
    pub fn run(&self, handler: &dyn StepHandler, with: &Value) -> Result<Outputs, Failure> {
        self.run_recorded(handler, with, &mut Recorder::default())
    }

    /// Like [`StepLab::run`], but also returns the reports of the step.
    pub fn run_recorded(
        &self,
        handler: &dyn StepHandler,
        with: &Value,
        recorder: &mut Recorder,
    ) -> Result<Outputs, Failure> {
        match self.attempt_of(handler, with, recorder) {
            Ok(outputs) => Ok(outputs),
            Err(StepError::Failed(failure)) => Err(failure),
            Err(StepError::Interrupted) => panic!("nobody interrupted"),
        }
    }

    /// Runs a step and asks it to stop at its `looks`-th check of the flag; `None` if it stopped.
    pub fn run_interrupted(&self, handler: &dyn StepHandler, with: &Value, looks: u32) -> Option<Outputs> {
        let mut recorder = Recorder { looks_left: Cell::new(Some(looks)), ..Recorder::default() };
        match self.attempt_of(handler, with, &mut recorder) {
            Ok(outputs) => Some(outputs),
            Err(StepError::Interrupted) => None,
            Err(StepError::Failed(failure)) => panic!("{failure}"),
        }
    }

    /// Files in the artifact store, published or temporary.
    pub fn published_files(&self) -> usize {
        walkdir::WalkDir::new(self.directory.path().join("artifacts"))
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
            .count()
    }

    /// Stores documents with the given texts as an artifact.
    pub fn documents<T: AsRef<str>>(&self, texts: &[T]) -> ArtifactRef {
        let mut bytes = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let document = Document { id: format!("test:{index}"), text: text.as_ref().to_owned() };
            write_document(&mut bytes, &document).unwrap();
        }
        self.artifacts.put_bytes(&bytes, crate::corpus_documents::NDJSON).unwrap()
    }

    pub fn documents_of(&self, artifact: &ArtifactRef) -> Vec<Document> {
        let mut reader = DocumentReader::new(document_files(&self.artifacts, artifact, None).unwrap());
        std::iter::from_fn(|| reader.next_document().unwrap()).collect()
    }
}
