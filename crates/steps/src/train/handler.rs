//! Runs the step: trains a model from arguments and artifacts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::host::{SAFETENSORS, StepHost};
use super::metrics_log::MetricsLog;
use super::prepared::{Prepared, backend, model_and_plan};
use crate::handler::{Highlight, JSON, StepContext, StepError, StepHandler, arguments};
use crate::tuning_file::TuningFile;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::protocol::Progress;
use stepwell_train::device::tuning;
use stepwell_train::model::Transformer;
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::hf_config::{SpecialTokens, saved_model_json};
use stepwell_train::model::weights;
use stepwell_train::training::Finished;
use stepwell_train::training::plan::Plan;
use stepwell_workflow::catalog::{Better, Figure, Given, Gives};

const VALUES: [Figure; 4] = [
    Figure::new("steps", "optimizer steps"),
    Figure::new("tokens", "tokens that the model has seen"),
    Figure::new("final_loss", "loss of the last step").better(Better::Lower),
    Figure::new("parameters", "number of weights"),
];

pub struct Train;
pub static TRAIN: Train = Train;

/// File in a trained model's tree: Hugging Face fields, and the exact shape under `stepwell`.
pub const CONFIG_FILE: &str = "config.json";
/// File in a trained model's tree: weights in f32 under their Hugging Face names.
pub const MODEL_FILE: &str = "model.safetensors";
/// Name in the step's directory of the run, next to its scratch directory.
const METRICS_FILE: &str = "metrics.jsonl";

impl StepHandler for Train {
    fn kind(&self) -> &'static str {
        "train"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "train a transformer on token files"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("model", "tree of `config.json` and `model.safetensors`")]),
            values: Given::Figures(&VALUES),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn counts_training_steps(&self) -> bool {
        true
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        let arguments: Arguments = arguments(with)?;
        arguments.optimizer.config()?;
        // The tokenizer, which is unknown here, decides the real vocabulary.
        model_and_plan(&arguments, 1)?;
        backend(&arguments.device).map(drop)
    }

    /// Another backend rounds differently and gives other weights.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        Ok(json!({"backend": backend(&arguments.device)?}))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let prepared = Prepared::new(context)?;
        let restored = prepared.restored(context)?;
        let last_step = restored.as_ref().map_or(0, |restored| restored.state.step);
        context.reporter.rewind(last_step);
        let log = open_log(context, last_step)?;
        context.reporter.progress(Progress {
            done: last_step,
            total: prepared.plan.steps(),
            unit: "steps".to_owned(),
            message: String::new(),
        });

        let kernels = TuningFile::of(&context.request.state_dir);
        if let Some(restored) = &restored {
            tuning::adopt(restored.state.tuning.clone());
        }
        kernels.adopt(context.reporter);
        let trainer = prepared.trainer(restored);
        let (steps, keep) = (prepared.plan.steps(), prepared.keep_checkpoints);
        let mut host = StepHost::new(context.artifacts, context.reporter, log, kernels, steps, keep);
        match trainer.run(&mut host)? {
            Finished::Stopped => Err(StepError::Interrupted),
            Finished::Complete { model, loss } => {
                let model = publish(context.artifacts, &model, prepared.tokenizer.special)?;
                Ok(Outputs {
                    artifacts: BTreeMap::from([("model".to_owned(), model)]),
                    values: values(&prepared.plan, &prepared.config, loss),
                })
            }
        }
    }
}

fn open_log(context: &StepContext<'_>, last_step: u64) -> Result<MetricsLog, Failure> {
    let directory = context.scratch().parent().unwrap_or(context.scratch());
    let path = directory.join(METRICS_FILE);
    MetricsLog::rewound(&path, last_step)
        .map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
}

fn publish(artifacts: &ArtifactStore, model: &Transformer, special: SpecialTokens) -> Result<ArtifactRef, Failure> {
    let config = saved_model_json(model.config(), special);
    let files = BTreeMap::from([
        (CONFIG_FILE.to_owned(), artifacts.put_bytes(&config, JSON)?),
        (MODEL_FILE.to_owned(), artifacts.put_bytes(&weights::save(model.shared()), SAFETENSORS)?),
    ]);
    Ok(artifacts.put_tree(&files)?)
}

fn values(plan: &Plan, config: &ModelConfig, loss: Option<f32>) -> Map<String, Value> {
    let loss = loss.map(|loss| (f64::from(loss) * 1e6).round() / 1e6);
    let entries = [
        ("steps", json!(plan.steps())),
        ("tokens", json!(plan.tokens(plan.steps()))),
        ("final_loss", json!(loss)),
        ("parameters", json!(config.parameter_counts().total)),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
