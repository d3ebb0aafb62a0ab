//! Handler of the step kind `infer`.

use std::cell::OnceCell;
use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, Source};
use super::batch::run_batch;
use super::engine::{self, ModelBackend};
use super::model;
use crate::finding::{Finding, Weight};
use crate::handler::{Highlight, StepContext, StepError, StepHandler, Surroundings, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_batch::key::Identity;
use stepwell_models::{Model, ModelFiles};
use stepwell_workflow::catalog::{Given, Gives};
use stepwell_workflow::template::is_literal;

pub struct Infer;
pub static INFER: Infer = Infer;

impl StepHandler for Infer {
    fn kind(&self) -> &'static str {
        "infer"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "answer a file of requests with a model"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("output", "NDJSON of all answers, in the order of the requests"),
                ("errors", "NDJSON of the requests without an answer"),
            ]),
            values: Given::Named(&[
                ("ended", "`completed`, `expired` or `cancelled`"),
                ("total", "number of requests"),
                ("completed", "requests with an answer"),
                ("failed", "requests without one"),
                ("failures", "number of failed requests by category"),
                ("prompt_tokens", "tokens of all prompts"),
                ("completion_tokens", "tokens of all answers"),
                (
                    "concurrency",
                    "most requests at once at the end; fewer than asked for if the batch ran out of memory",
                ),
                ("reused", "answers that the last attempt took from earlier batches"),
                ("tokens_per_second", "speed of the last attempt"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.check()
    }

    /// Digests of files that are named by path.
    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        let mut digests = Map::new();
        if let Some(path) = arguments.requests.path(surroundings.project) {
            let mut hasher = blake3::Hasher::new();
            let read = File::open(&path).and_then(|file| hasher.update_reader(file).map(drop));
            read.map_err(|error| Failure::io(format!("cannot read `{}`", path.display()), &error))?;
            digests.insert("requests".to_owned(), json!(hasher.finalize().to_hex().as_str()));
        }
        if let Some(path) = arguments.model.path(surroundings.project) {
            let files = ModelFiles::at(&path).map_err(model::unusable)?;
            digests.insert("model".to_owned(), json!(model::digest_of(&files)?));
        }
        Ok(Value::Object(digests))
    }

    /// Answers of a batch that expired or was cancelled are not those of the next one; rows are reused one by one.
    fn reusable(&self, _with: &Value) -> bool {
        false
    }

    fn survives_memory_kills(&self) -> bool {
        true
    }

    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        missing_sources(with, project, &["model", "requests"])
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        arguments.check()?;
        let project = context.request.project_dir.clone();
        let requests = match &arguments.requests {
            Source::Output(artifact) => context.artifacts.verified_path(artifact)?,
            Source::Path(path) => project.join(path),
        };
        let named = (&arguments.model, arguments.tokenizer.as_ref());
        let files = model::files(named, context.artifacts, &project)?;
        let identity = Identity {
            model: model::digest_of(&files)?,
            template: String::new(),
            engine: format!("{}/{}", engine::VERSION, arguments.dtype.as_str()),
        };
        let loaded = OnceCell::new();
        run_batch(context, &arguments, &requests, &identity, |context, most_at_once| {
            let model = Model::from_files(&files).map_err(model::unusable)?;
            let memory = arguments.memory(most_at_once);
            let backend = ModelBackend::open(loaded.get_or_init(|| model), arguments.dtype, memory, arguments.created)?;
            if let Some(bytes) = backend.smaller_cache() {
                let mib = bytes >> 20;
                context
                    .reporter
                    .note(format!("the system lacks memory for the keys and values of all rows: they have {mib} MiB"));
            }
            Ok(backend)
        })
    }
}

/// Finds paths among the arguments of these names that do not exist.
pub(crate) fn missing_sources(with: &Map<String, Value>, project: &Path, names: &[&str]) -> Vec<Finding> {
    let missing = |argument: &str| {
        let value = with.get(argument).filter(|value| is_literal(value))?.as_str()?;
        let weight = if value.is_empty() { Weight::Unset } else { Weight::Missing };
        (value.is_empty() || !project.join(value).exists()).then(|| Finding {
            argument: argument.to_owned(),
            weight,
            message: match weight {
                Weight::Unset => format!("`{argument}` is empty"),
                _ => format!("`{value}` does not exist"),
            },
            hint: format!("name the {argument} by path, or take the output of an earlier step"),
        })
    };
    names.iter().copied().filter_map(missing).collect()
}
