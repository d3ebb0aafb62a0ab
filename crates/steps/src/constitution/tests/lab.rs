//! A model of a few weights whose labels are single tokens, and a constitution that suits it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::constitution::ConstitutionKind;
use crate::tests::{Recorder, StepLab};
use crate::{StepError, StepHandler};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;

/// A constitution for a model that writes noise: nothing but its form is judged.
pub const CONSTITUTION: &str = r#"
schema = 1
seeds = ["Name a colour.", "Name a river.", "Say a word."]
shots = 2

[[principle]]
name = "brief"
text = "Be brief."

[[principle]]
name = "kind"
text = "Be kind."

[[sentinel]]
name = "water"
group = "text"
prompt = "Water freezes at"
contains = ["zero"]

[instruction_sampling]
max_tokens = 300
temperature = 2.0
top_p = 1.0
repetition_penalty = 1.0

[response_sampling]
max_tokens = 300
temperature = 2.0
top_p = 1.0
repetition_penalty = 1.0

[critic]
min_margin = 0.0
bias = -100.0

[quality]
min_rows = 1
runaway = 1.0
token_limit = 1.0
leaks = 100
median_tokens = 1000.0
instruction_acceptance = 0.0
pair_acceptance = 0.0
"#;

pub struct Lab {
    pub steps: StepLab,
    pub model: PathBuf,
}

impl Lab {
    pub fn new() -> Lab {
        let steps = StepLab::new();
        let model = steps.directory.path().join("model");
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
        std::fs::create_dir_all(&model).unwrap();
        for file in std::fs::read_dir(tiny).unwrap().flatten() {
            std::fs::copy(file.path(), model.join(file.file_name())).unwrap();
        }
        let lab = Lab { steps, model };
        lab.change("config.json", |config| config["max_position_embeddings"] = json!(4096));
        lab.change("tokenizer.json", |tokenizer| {
            let merges = tokenizer["model"]["merges"].as_array_mut().unwrap();
            let kept = merges.len() - 2;
            merges.truncate(kept);
            merges.extend([json!(["Ġ", "A"]), json!(["Ġ", "B"])]);
            let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
            vocab.retain(|_, id| id.as_u64().is_some_and(|id| id < 286));
            vocab.extend([("ĠA".to_owned(), json!(286)), ("ĠB".to_owned(), json!(287))]);
        });
        lab
    }

    /// Changes a JSON file of the model.
    pub fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.model.join(file);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }

    pub fn text(&self, text: &str) -> ArtifactRef {
        self.steps.artifacts.put_bytes(text.as_bytes(), "text/plain").unwrap()
    }

    pub fn lines(&self, rows: &[Value]) -> ArtifactRef {
        self.text(&rows.iter().map(|row| row.to_string() + "\n").collect::<String>())
    }

    /// Arguments of a step with the model and the constitution.
    pub fn with(&self, more: Value) -> Value {
        let mut with = json!({
            "base": { "model": self.model, "concurrency": 4 }, "constitution": self.text(CONSTITUTION),
        });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    }

    pub fn attempt(
        &self,
        kind: &'static ConstitutionKind,
        with: &Value,
        recorder: &mut Recorder,
    ) -> Result<Outputs, StepError> {
        kind.check(with)?;
        self.steps.attempt_of(kind, with, recorder)
    }

    pub fn run(&self, kind: &'static ConstitutionKind, with: &Value) -> Result<Outputs, Failure> {
        let ended = self.attempt(kind, with, &mut Recorder::default());
        let _ = std::fs::remove_dir_all(self.steps.step_directory());
        match ended {
            Ok(outputs) => Ok(outputs),
            Err(StepError::Failed(failure)) => Err(failure),
            Err(StepError::Interrupted) => panic!("nobody interrupted"),
        }
    }

    /// The code with which a step ends.
    #[track_caller]
    pub fn code(&self, kind: &'static ConstitutionKind, with: &Value) -> String {
        let failure = self.run(kind, with).expect_err("the step must end the run");
        let code = failure.code.clone().unwrap_or_else(|| panic!("{failure}"));
        assert!(failure.hint.is_some() && failure.message.contains(&code), "{failure}");
        code
    }

    pub fn read(&self, artifact: &ArtifactRef) -> Vec<Value> {
        let bytes = self.steps.artifacts.read(artifact).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}
