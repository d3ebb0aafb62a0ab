//! Tokenizer and token files for tests of the training steps.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::recorder::Recorder;
use super::step_lab::StepLab;
use crate::tokenize::TOKENIZE;
use crate::tokenizer_train::TOKENIZER_TRAIN;
use crate::{StepError, StepHandler};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};

pub struct TrainingLab {
    pub steps: StepLab,
    pub artifacts: ArtifactStore,
    pub tokenizer: ArtifactRef,
    /// Two shards of the training split.
    pub tokens: Vec<ArtifactRef>,
    pub validation: ArtifactRef,
}

impl TrainingLab {
    /// Creates 60 documents of a few words, tokenized with a vocabulary of 300.
    pub fn new() -> Self {
        let steps = StepLab::new();
        let artifacts = steps.artifacts.clone();
        let placeholder = artifacts.put_bytes(b"", "text/plain").unwrap();
        let tokens = Vec::new();
        let mut lab = TrainingLab { steps, artifacts, tokenizer: placeholder.clone(), tokens, validation: placeholder };
        let parts = [lab.documents(0..24), lab.documents(24..48), lab.documents(48..60)];
        let all = lab.documents(0..60);
        let made = lab.run_once(&TOKENIZER_TRAIN, json!({"documents": all, "vocab_size": 300}));
        lab.tokenizer = made.artifacts["tokenizer"].clone();
        let [first, second, validation] = parts.map(|part| {
            let with = json!({"documents": part, "tokenizer": lab.tokenizer});
            lab.run_once(&TOKENIZE, with).artifacts["tokens"].clone()
        });
        lab.tokens = vec![first, second];
        lab.validation = validation;
        lab
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
        self.steps.step_directory()
    }

    /// Runs one attempt with the checkpoints that the recorder holds.
    pub fn attempt(
        &self,
        handler: &dyn StepHandler,
        with: Value,
        recorder: &mut Recorder,
    ) -> Result<Outputs, StepError> {
        self.steps.attempt_of(handler, &with, recorder)
    }

    /// Runs an attempt that succeeds, and removes what it leaves in its directory.
    pub fn run_once(&self, handler: &dyn StepHandler, with: Value) -> Outputs {
        let outputs = self.attempt(handler, with, &mut Recorder::default()).unwrap();
        std::fs::remove_dir_all(self.step_directory()).unwrap();
        outputs
    }
}
