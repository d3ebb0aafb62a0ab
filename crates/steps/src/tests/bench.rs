//! Fixture for tests of step kinds: a state directory and a recording reporter.

use std::cell::Cell;
use std::path::PathBuf;

use serde_json::Value;

use crate::corpus_documents::{Document, DocumentReader, document_files, write_document};
use crate::{Reporter, StepContext, StepError, StepHandler};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::{AttemptRequest, MetricRow, Progress};

/// Keeps checkpoints and notes, and asks to stop after a number of checks of the flag.
#[derive(Default)]
pub struct Recorder {
    /// Newest first, as an attempt receives them.
    pub checkpoints: Vec<Checkpoint>,
    pub notes: Vec<String>,
    pub looks_left: Cell<Option<u32>>,
    /// Number of checkpoints that are committed before the engine dies.
    pub commits_left: Option<u32>,
}

impl Reporter for Recorder {
    fn progress(&mut self, _: Progress) {}

    fn metric(&mut self, _: MetricRow) {}

    fn rewind(&mut self, _: u64) {}

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError> {
        if let Some(left) = &mut self.commits_left {
            if *left == 0 {
                return Err(StepError::Interrupted);
            }
            *left -= 1;
        }
        self.checkpoints.insert(0, checkpoint);
        Ok(())
    }

    fn note(&mut self, message: String) {
        self.notes.push(message);
    }

    fn interrupted(&self) -> bool {
        match self.looks_left.get() {
            None => false,
            Some(0) => true,
            Some(left) => {
                self.looks_left.set(Some(left - 1));
                false
            }
        }
    }
}

pub struct Bench {
    dir: tempfile::TempDir,
    pub artifacts: ArtifactStore,
}

impl Bench {
    pub fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = ArtifactStore::open(dir.path()).unwrap();
        Bench { dir, artifacts }
    }

    pub fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    pub fn attempt<T>(
        &self,
        with: &Value,
        recorder: &mut Recorder,
        run: impl FnOnce(&mut StepContext<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        self.attempt_with(with, Value::Null, recorder, run)
    }

    /// Like [`Bench::attempt`], with this fingerprint from the engine.
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
            state_dir: self.dir.path().to_owned(),
            scratch_dir: self.scratch(),
            checkpoints: recorder.checkpoints.clone(),
            forked_at: None,
        };
        run(&mut StepContext { request: &request, artifacts: &self.artifacts, reporter: recorder })
    }

    /// Runs a step without interruption.
    pub fn run(&self, handler: &dyn StepHandler, with: &Value) -> Result<Outputs, Failure> {
        self.run_recorded(handler, with, &mut Recorder::default())
    }

    /// Like [`Bench::run`], but also returns the reports of the step.
    pub fn run_recorded(
        &self,
        handler: &dyn StepHandler,
        with: &Value,
        recorder: &mut Recorder,
    ) -> Result<Outputs, Failure> {
        let fingerprint = handler.fingerprint(with)?;
        match self.attempt_with(with, fingerprint, recorder, |context| handler.run(context)) {
            Ok(outputs) => Ok(outputs),
            Err(StepError::Failed(failure)) => Err(failure),
            Err(StepError::Interrupted) => panic!("nobody interrupted"),
        }
    }

    /// Runs a step and asks it to stop at its `looks`-th check of the flag; `None` if it stopped.
    pub fn run_interrupted(&self, handler: &dyn StepHandler, with: &Value, looks: u32) -> Option<Outputs> {
        let mut recorder = Recorder { looks_left: Cell::new(Some(looks)), ..Recorder::default() };
        let fingerprint = handler.fingerprint(with).unwrap();
        match self.attempt_with(with, fingerprint, &mut recorder, |context| handler.run(context)) {
            Ok(outputs) => Some(outputs),
            Err(StepError::Interrupted) => None,
            Err(StepError::Failed(failure)) => panic!("{failure}"),
        }
    }

    /// Files in the artifact store, published or temporary.
    pub fn published_files(&self) -> usize {
        walkdir::WalkDir::new(self.dir.path().join("artifacts"))
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
}

pub fn documents_of(bench: &Bench, artifact: &ArtifactRef) -> Vec<Document> {
    let mut reader = DocumentReader::new(document_files(&bench.artifacts, artifact, None).unwrap());
    std::iter::from_fn(|| reader.next_document().unwrap()).collect()
}
