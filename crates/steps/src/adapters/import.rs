//! `adapter.import`: brings a folder of PEFT into the artifact store.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::stored::{MOST_CONFIG, StoredAdapter, publish, unusable};
use crate::finding::{Finding, Weight};
use crate::handler::{StepContext, StepError, StepHandler, Surroundings, arguments};
use crate::train::SAFETENSORS;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_train::model::lora::{PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE};
use stepwell_workflow::catalog::{Given, Gives};

pub struct AdapterImport;
pub static ADAPTER_IMPORT: AdapterImport = AdapterImport;

/// Most bytes of `adapter_model.safetensors`.
const MOST_WEIGHTS: u64 = 16 << 30;

/// Arguments of the `adapter.import` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Folder with `adapter_config.json` and `adapter_model.safetensors`, relative to the workflow.
    source: String,
}

impl Arguments {
    fn file(&self, project: &Path, name: &str) -> PathBuf {
        project.join(&self.source).join(name)
    }
}

impl StepHandler for AdapterImport {
    fn kind(&self) -> &'static str {
        "adapter.import"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "import a LoRA adapter that PEFT saved"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("adapter", "PEFT folder of the adapter")]),
            values: Given::Named(&[
                ("r", "rank"),
                ("alpha", "numerator of the scale"),
                ("targets", "names of the matrices with an adapter"),
                ("parameters", "number of weights of the adapter"),
            ]),
        }
    }

    fn look_ahead(&self, with: &Map<String, Value>, project: &Path) -> Vec<Finding> {
        let Some(source) = with.get("source").and_then(Value::as_str) else { return Vec::new() };
        let arguments = Arguments { source: source.to_owned() };
        let missing = |name: &&str| !arguments.file(project, name).is_file();
        let finding = |name: &str| Finding {
            argument: "source".to_owned(),
            weight: if source.trim().is_empty() { Weight::Unset } else { Weight::Missing },
            message: format!("`{source}` has no file `{name}`"),
            hint: "name a folder that PEFT's `save_pretrained` made".to_owned(),
        };
        [PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE].into_iter().find(missing).map(finding).into_iter().collect()
    }

    fn fingerprint_in(&self, with: &Value, surroundings: &Surroundings<'_>) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        let digest = |name: &str| {
            let path = arguments.file(surroundings.project, name);
            let mut hasher = blake3::Hasher::new();
            let read = fs::File::open(&path).and_then(|file| hasher.update_reader(file).map(drop));
            read.map_err(|error| Failure::io(format!("cannot read `{}`", path.display()), &error))?;
            Ok::<_, Failure>(json!([name, hasher.finalize().to_hex().as_str()]))
        };
        [PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE].into_iter().map(digest).collect()
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let read = |name: &str, most: u64| {
            let path = arguments.file(&context.request.project_dir, name);
            let failed = |error| Failure::io(format!("cannot read `{}`", path.display()), &error);
            let bytes = fs::metadata(&path).map_err(failed)?.len();
            if bytes > most {
                return Err(unusable(format!("`{name}` has {bytes} bytes, at most {most} are read")));
            }
            fs::read(&path).map_err(failed)
        };
        let (config, weights) = (read(PEFT_CONFIG_FILE, MOST_CONFIG)?, read(PEFT_WEIGHTS_FILE, MOST_WEIGHTS)?);
        let digest = |name: &str, bytes: &[u8]| json!([name, blake3::hash(bytes).to_hex().as_str()]);
        let found = json!([digest(PEFT_CONFIG_FILE, &config), digest(PEFT_WEIGHTS_FILE, &weights)]);
        if found != context.request.fingerprint {
            return Err(Failure::fatal(format!("the adapter `{}` changed while it was read", arguments.source))
                .with_hint("`stepwell retry` imports it as it is now")
                .into());
        }
        let StoredAdapter { lora, tensors } = StoredAdapter::from_files(&config, &weights)?;
        let base = serde_json::from_slice::<Value>(&config)
            .ok()
            .and_then(|config| Some(config.get("base_model_name_or_path")?.as_str()?.to_owned()));
        let weights = context.artifacts.put_bytes(&weights, SAFETENSORS)?;
        let adapter = publish(context.artifacts, &lora, weights, base)?;
        let names: Vec<&str> = lora.targets.iter().map(|target| target.name()).collect();
        let parameters: usize = tensors.values().map(|tensor| tensor.data.len()).sum();
        let values = json!({ "r": lora.r, "alpha": lora.alpha, "targets": names, "parameters": parameters });
        Ok(Outputs::of([("adapter", adapter)], values))
    }
}
