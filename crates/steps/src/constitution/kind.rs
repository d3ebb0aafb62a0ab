//! What the kinds of the pipeline have in common.

use serde_json::{Map, Value, json};

use super::files::read_path;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, Surroundings};
use crate::infer::digest_of;
use stepwell_base::artifact::{Digest, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_models::ModelFiles;
use stepwell_workflow::catalog::Gives;

/// A step kind of the pipeline.
pub struct ConstitutionKind {
    pub(super) kind: &'static str,
    pub(super) summary: &'static str,
    pub(super) schema: fn() -> schemars::Schema,
    pub(super) gives: Gives,
    /// Arguments that may name a file by its path.
    pub(super) files: &'static [&'static str],
    pub(super) check: fn(&Value) -> Result<(), Failure>,
    pub(super) run: fn(&mut StepContext<'_>) -> Result<Outputs, StepError>,
}

/// Argument with the model and how it is asked.
const BASE: &str = "base";

impl StepHandler for ConstitutionKind {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn schema(&self) -> schemars::Schema {
        (self.schema)()
    }

    fn gives(&self) -> Gives {
        self.gives
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        (self.check)(with)
    }

    /// Digests of files that are named by path.
    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let mut digests = Map::new();
        for name in self.files {
            if let Some(path) = with.get(*name).and_then(Value::as_str).filter(|path| !path.is_empty()) {
                let digest = Digest::of(&read_path(path, surroundings.project)?);
                digests.insert((*name).to_owned(), json!(digest));
            }
        }
        if let Some(path) = with.pointer(&format!("/{BASE}/model")).and_then(Value::as_str) {
            let files = ModelFiles::at(&surroundings.project.join(path))
                .map_err(|error| Failure::from_error(FailureKind::Fatal, &error).with_hint(error.hint()))?;
            digests.insert(BASE.to_owned(), json!(digest_of(&files)?));
        }
        Ok(Value::Object(digests))
    }

    fn survives_memory_kills(&self) -> bool {
        true
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        (self.run)(context)
    }
}

/// The check of a kind whose arguments need no more than their types.
pub fn check_types<T: serde::de::DeserializeOwned>(with: &Value) -> Result<(), Failure> {
    crate::handler::arguments::<T>(with).map(drop)
}
