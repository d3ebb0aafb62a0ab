//! Fixture for tests of the training steps: a store, a tokenizer, token files, and a reporter that records everything.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::tokenize::TOKENIZE;
use crate::tokenizer_train::TOKENIZER_TRAIN;
use crate::{CheckpointLine, Reporter, StepContext, StepError, StepHandler};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, RunId, StepKey};
use stepwell_base::protocol::{AttemptRequest, MetricRow, Progress};

/// Time limit of a wait, longer than any attempt here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records all reports. Keeps metrics as the database does: a rewind removes them.
#[derive(Default)]
pub struct Recorder {
    pub metrics: Vec<MetricRow>,
    /// Committed checkpoints, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    pub notes: Vec<String>,
    pub rewinds: Vec<u64>,
    pub progress: Vec<Progress>,
    /// Asks to stop after this step.
    pub stop_after: Option<u64>,
    /// The engine dies when the metric of this step arrives; the process continues until it notices.
    pub die_at: Option<u64>,
    /// Number of checkpoints of this attempt that are committed before the engine dies.
    pub commits_before_death: usize,
    /// Commits a checkpoint only after the metric of this step has arrived.
    pub hold_until: Option<u64>,
    /// Time from the announcement of a checkpoint to its commit.
    pub commit_takes: Duration,
    pub line: Arc<Line>,
}

/// Receives checkpoints from any thread.
#[derive(Default)]
pub struct Line {
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Default)]
struct LineState {
    artifacts: Option<ArtifactStore>,
    committed: Vec<Checkpoint>,
    /// Training step of the newest metric.
    train_step: u64,
    dead: bool,
    hold_until: u64,
    commit_takes: Duration,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap()
    }

    /// Waits until `holds` is true and returns the state.
    #[track_caller]
    fn wait(&self, holds: impl Fn(&LineState) -> bool) -> MutexGuard<'_, LineState> {
        let waited = self.changed.wait_timeout_while(self.state(), PATIENCE, |state| !holds(state));
        let (state, waited) = waited.unwrap();
        assert!(!waited.timed_out(), "what an engine would wait for does not happen");
        state
    }
}

impl CheckpointLine for Line {
    fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StepError> {
        let (artifacts, takes) = {
            let state = self.state();
            (state.artifacts.clone().unwrap(), state.commit_takes)
        };
        artifacts.verify(checkpoint.artifact.as_ref().unwrap()).expect("the files are there before the engine knows");
        thread::sleep(takes);
        let mut state = self.wait(|state| state.dead || state.train_step >= state.hold_until);
        if state.dead {
            return Err(StepError::Interrupted);
        }
        state.committed.push(checkpoint);
        self.changed.notify_all();
        Ok(())
    }
}

impl Recorder {
    fn step(&self) -> u64 {
        self.metrics.last().map_or(0, |row| row.train_step)
    }

    fn dead(&self) -> bool {
        self.die_at.is_some_and(|step| self.step() >= step)
    }

    fn connect(&mut self, artifacts: &ArtifactStore) {
        self.line = Arc::default();
        let mut state = self.line.state();
        state.artifacts = Some(artifacts.clone());
        state.hold_until = self.hold_until.unwrap_or(0);
        state.commit_takes = self.commit_takes;
    }

    /// Collects the checkpoints that were committed by the end of the attempt.
    fn disconnect(&mut self) {
        self.checkpoints.append(&mut self.line.state().committed);
    }
}

impl Reporter for Recorder {
    fn progress(&mut self, progress: Progress) {
        self.progress.push(progress);
    }

    fn metric(&mut self, row: MetricRow) {
        let step = row.train_step;
        self.metrics.push(row);
        self.line.state().train_step = step;
        self.line.changed.notify_all();
        if self.dead() {
            self.line.wait(|state| state.committed.len() >= self.commits_before_death).dead = true;
            self.line.changed.notify_all();
        }
    }

    fn rewind(&mut self, last_step: u64) {
        self.rewinds.push(last_step);
        self.metrics.retain(|row| row.train_step <= last_step);
        self.checkpoints.retain(|checkpoint| checkpoint.last_step.is_some_and(|step| step <= last_step));
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError> {
        self.line.checkpoint(checkpoint)
    }

    fn checkpoint_line(&self) -> Arc<dyn CheckpointLine> {
        self.line.clone()
    }

    fn note(&mut self, message: String) {
        self.notes.push(message);
    }

    fn interrupted(&self) -> bool {
        self.dead() || self.stop_after.is_some_and(|step| self.step() >= step)
    }
}

pub struct World {
    pub directory: tempfile::TempDir,
    pub artifacts: ArtifactStore,
    pub tokenizer: ArtifactRef,
    /// Two shards of the training split.
    pub tokens: Vec<ArtifactRef>,
    pub validation: ArtifactRef,
}

impl World {
    /// Creates 60 documents of a few words, tokenized with a vocabulary of 300.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = ArtifactStore::open(directory.path()).unwrap();
        let placeholder = artifacts.put_bytes(b"", "text/plain").unwrap();
        let tokens = Vec::new();
        let mut world = World { directory, artifacts, tokenizer: placeholder.clone(), tokens, validation: placeholder };
        let parts = [world.documents(0..24), world.documents(24..48), world.documents(48..60)];
        let all = world.documents(0..60);
        let made = world.run_once(&TOKENIZER_TRAIN, json!({"documents": all, "vocab_size": 300}));
        world.tokenizer = made.artifacts["tokenizer"].clone();
        let [first, second, validation] = parts.map(|part| {
            let with = json!({"documents": part, "tokenizer": world.tokenizer});
            world.run_once(&TOKENIZE, with).artifacts["tokens"].clone()
        });
        world.tokens = vec![first, second];
        world.validation = validation;
        world
    }

    fn documents(&self, range: std::ops::Range<usize>) -> ArtifactRef {
        const NOUNS: [&str; 5] = ["cat", "dog", "bird", "child", "teacher"];
        const VERBS: [&str; 4] = ["sees", "likes", "follows", "hears"];
        let lines: Vec<String> = range
            .map(|n| {
                let noun = |k: usize| NOUNS[(n * 7 + k * 3) % NOUNS.len()];
                let verb = |k: usize| VERBS[(n * 5 + k) % VERBS.len()];
                let text = format!("The {} {} the {}. The {} {} it.", noun(0), verb(0), noun(1), noun(2), verb(1));
                json!({"id": format!("d:{n}"), "text": text}).to_string()
            })
            .collect();
        self.ndjson(&lines)
    }

    pub fn ndjson(&self, lines: &[String]) -> ArtifactRef {
        self.artifacts.put_bytes((lines.join("\n") + "\n").as_bytes(), "application/x-ndjson").unwrap()
    }

    /// Arguments of a training run of a few steps.
    pub fn train_arguments(&self, change: Value) -> Value {
        let mut with = json!({
            "tokens": self.tokens,
            "tokenizer": self.tokenizer,
            "model": {"preset": "tiny", "layers": 1, "d_model": 16, "heads": 2, "hidden": 24},
            "context": 12,
            "batch": 4,
            "steps": 12,
            "device": "flex",
            "checkpoint_every": 4,
        });
        with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        with
    }

    pub fn step_directory(&self) -> PathBuf {
        self.directory.path().join("runs/run/step")
    }

    /// Runs one attempt with the checkpoints that the recorder holds.
    pub fn attempt(
        &self,
        handler: &dyn StepHandler,
        with: Value,
        recorder: &mut Recorder,
    ) -> Result<Outputs, StepError> {
        let scratch_dir = self.step_directory().join("scratch");
        std::fs::create_dir_all(&scratch_dir).unwrap();
        let request = AttemptRequest {
            run: RunId(Uuid::nil()),
            run_name: "test".to_owned(),
            step: "step".into(),
            kind: handler.kind().to_owned(),
            attempt: 1,
            fence: Fence(1),
            key: StepKey("key".to_owned()),
            with,
            secrets: Default::default(),
            fingerprint: Value::Null,
            state_dir: self.directory.path().to_owned(),
            scratch_dir,
            checkpoints: recorder.checkpoints.iter().rev().cloned().collect(),
            forked_at: None,
        };
        recorder.connect(&self.artifacts);
        let mut context = StepContext { request: &request, artifacts: &self.artifacts, reporter: recorder };
        let ended = handler.run(&mut context);
        recorder.disconnect();
        ended
    }

    /// Runs an attempt that succeeds.
    pub fn run_once(&self, handler: &dyn StepHandler, with: Value) -> Outputs {
        let outputs = self.attempt(handler, with, &mut Recorder::default()).unwrap();
        std::fs::remove_dir_all(self.step_directory()).unwrap();
        outputs
    }
}
