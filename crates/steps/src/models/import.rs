//! Handler of the step kind `model.import`.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::source::{files, fingerprint, refused};
use super::store::model_files;
use crate::command::Project;
use crate::finding::{Finding, Weight};
use crate::handler::{Highlight, JSON, StepContext, StepError, StepHandler, Surroundings, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_models::{Model, ModelFiles};
use stepwell_workflow::catalog::{Given, Gives};
use stepwell_workflow::template::is_literal;

pub struct ModelImport;
pub static MODEL_IMPORT: ModelImport = ModelImport;

const TOKENIZER: &str = "tokenizer.json";

/// Arguments of the `model.import` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// A folder with `config.json`, `tokenizer.json` and safetensors files, or a GGUF file; relative to the folder of the workflow
    /// file if it is there, else to the directory of the engine.
    source: String,
}

impl StepHandler for ModelImport {
    fn kind(&self) -> &'static str {
        "model.import"
    }

    /// 2: the output `tokenizer`.
    fn version(&self) -> u32 {
        2
    }

    fn summary(&self) -> &'static str {
        "bring a model from a Hugging Face folder or a GGUF file into the artifact store"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[
                ("model", "the files of the model"),
                ("tokenizer", "its `tokenizer.json`, for steps of the kinds `tokenize`, `train` and `eval`"),
                ("provenance", "JSON: where the files came from, with their digests and what was not used"),
            ]),
            values: Given::Named(&[
                ("parameters", "number of weights"),
                ("bytes", "bytes of all files"),
                ("context", "positions that the model was made for"),
                ("vocabulary", "rows of the embedding"),
                ("weights", "element types of the weights, each with its number of tensors"),
                ("chat_templates", "names of the chat templates"),
                ("notes", "what was found in the files and not used"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    /// Finds a path that names nothing, so that it is refused before the run.
    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        let known = with.get("source").is_some_and(is_literal);
        let parsed = arguments::<Arguments>(&Value::Object(with.clone()));
        let Some(arguments) = parsed.ok().filter(|_| known) else { return Vec::new() };
        let finding = |failure: Failure| Finding {
            argument: "source".to_owned(),
            weight: if arguments.source.trim().is_empty() { Weight::Unset } else { Weight::Missing },
            message: failure.message,
            hint: failure.hint.unwrap_or_else(|| "name a folder or a GGUF file".to_owned()),
        };
        files(&Project(project).find(Path::new(&arguments.source))).err().map(finding).into_iter().collect()
    }

    /// Returns name and digest of every file, so that one changed byte makes a new step.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        self.fingerprint_in(with, &Surroundings { project: Path::new(""), file: None, earlier: None })
    }

    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        fingerprint(&files(&Project(surroundings.project).find(Path::new(&arguments.source)))?)
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let Arguments { source } = context.arguments()?;
        let files = files(&Project(&context.request.project_dir).find(Path::new(&source)))?;
        // Before gigabytes are copied. Headers and configuration are read, weights are not.
        let on_disk: ModelFiles = files.iter().map(|file| (file.name.clone(), file.path.clone())).collect();
        Model::from_files(&on_disk).map_err(refused)?;
        let total: u64 = files.iter().map(|file| file.bytes).sum();
        let (mut entries, mut listed, mut done) = (BTreeMap::new(), Vec::new(), 0);
        for file in &files {
            context.report(done, total, "bytes", format!("copying {}", file.name))?;
            let artifact = context.artifacts.put_file(&file.path, media_type(&file.name))?;
            listed.push(json!({ "name": file.name, "bytes": artifact.size, "digest": artifact.digest }));
            done += file.bytes;
            entries.insert(file.name.clone(), artifact);
        }
        let copied: Value = entries.iter().map(|(name, file)| json!([name, file.digest])).collect();
        if copied != context.request.fingerprint {
            return Err(Failure::fatal(format!("the model {source} changed while it was read"))
                .with_hint("`stepwell retry` imports it as it is now")
                .into());
        }
        let tree = context.artifacts.put_tree(&entries)?;
        let model = Model::from_files(&model_files(context.artifacts, &tree)?).map_err(refused)?;
        let tokenizer = match entries.remove(TOKENIZER) {
            Some(file) => file,
            None => {
                let json = model.tokenizer.to_json().map_err(|error| Failure::fatal(error.to_string()))?;
                context.artifacts.put_bytes(json.to_string().as_bytes(), JSON)?
            }
        };
        let provenance = context.publish_json(
            "the provenance",
            &json!({ "schema": 1, "source": source, "files": listed, "notes": model.remarks }),
        )?;
        let templates: Vec<&String> = model.chat.iter().flat_map(|chat| chat.sources().keys()).collect();
        let values = json!({
            "parameters": model.shape.parameters(),
            "bytes": total,
            "context": model.shape.context,
            "vocabulary": model.shape.vocab,
            "weights": model.stored_types(),
            "chat_templates": templates,
            "notes": model.remarks,
        });
        Ok(Outputs::of([("model", tree), ("tokenizer", tokenizer), ("provenance", provenance)], values))
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "json")) => JSON,
        Some((_, "jinja")) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
