//! Runs the step: trains a model from arguments and artifacts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::data::samplers;
use super::host::{SAFETENSORS, StepHost};
use super::metrics_log::MetricsLog;
use super::resume::newest_valid;
use crate::handler::{Highlight, JSON, StepContext, StepError, StepHandler, arguments, forked_from_nothing};
use crate::text_codec::TextCodec;
use crate::tuning_file::TuningFile;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::protocol::Progress;
use stepwell_train::data::Sampler;
use stepwell_train::device;
use stepwell_train::device::tuning;
use stepwell_train::model::Transformer;
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::hf_config::{SpecialTokens, saved_model_json};
use stepwell_train::model::weights;
use stepwell_train::training::checkpoint::Expected;
use stepwell_train::training::plan::Plan;
use stepwell_train::training::{Finished, Trainer};
use stepwell_workflow::catalog::{Given, Gives};

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
            values: Given::Named(&[
                ("steps", "optimizer steps"),
                ("tokens", "tokens that the model has seen"),
                ("final_loss", "loss of the last step"),
                ("parameters", "number of weights"),
            ]),
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
        let config = model_config(&arguments, 1)?;
        let plan = arguments.plan(config.context)?;
        check_contexts(&plan, &config)?;
        config.check_frozen(plan.freeze_layers).map_err(fatal)?;
        backend(&arguments.device).map(drop)
    }

    /// Another backend rounds differently and gives other weights.
    fn fingerprint(&self, with: &Value) -> Result<Value, Failure> {
        let arguments: Arguments = arguments(with)?;
        Ok(json!({"backend": backend(&arguments.device)?}))
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let settings = arguments.optimizer.config()?;
        let tokenizer = TextCodec::load(&context.artifacts.read(&arguments.tokenizer)?)?;
        let config = model_config(&arguments, tokenizer.vocab())?;
        let plan = arguments.plan(config.context)?;
        check_contexts(&plan, &config)?;
        config.check_frozen(plan.freeze_layers).map_err(fatal)?;
        let samplers = samplers(context.artifacts, &arguments, tokenizer.encoder(), &plan)?;
        if let Some(note) = samplers.iter().find_map(short_documents) {
            context.reporter.note(note);
        }

        let backend = backend(&arguments.device)?;
        let device = device::open_with(backend, plan.precision).map_err(fatal)?.autodiff();
        let fork = context.request.forked_at.is_some();
        let expected = Expected { model: &config, optimizer: settings, plan: &plan, device: &device, fork };
        let checkpoints = &context.request.checkpoints;
        let restored = newest_valid(context.artifacts, context.reporter, checkpoints, &expected, backend);
        if let (None, Some(train_step)) = (&restored, context.request.forked_at) {
            return Err(forked_from_nothing(train_step).into());
        }
        let last_step = restored.as_ref().map_or(0, |restored| restored.state.step);
        context.reporter.rewind(last_step);
        let log = open_log(context, last_step)?;
        context.reporter.progress(Progress {
            done: last_step,
            total: plan.steps(),
            unit: "steps".to_owned(),
            message: String::new(),
        });

        let kernels = TuningFile::of(&context.request.state_dir);
        if let Some(restored) = &restored {
            tuning::adopt(restored.state.tuning.clone());
        }
        kernels.adopt(context.reporter);
        let trainer = match restored {
            Some(restored) => Trainer::resumed(&plan, &samplers, restored, settings, backend),
            None => {
                let model = Transformer::init(&config, plan.seed, &device);
                Trainer::new(&plan, &samplers, model, settings, backend)
            }
        };
        let (artifacts, keep) = (context.artifacts, arguments.keep_checkpoints);
        let mut host = StepHost::new(artifacts, context.reporter, log, kernels, plan.steps(), keep);
        match trainer.run(&mut host)? {
            Finished::Stopped => Err(StepError::Interrupted),
            Finished::Complete { model, loss } => Ok(Outputs {
                artifacts: BTreeMap::from([("model".to_owned(), publish(artifacts, &model, tokenizer.special)?)]),
                values: values(&plan, &config, loss),
            }),
        }
    }
}

fn fatal(error: impl std::error::Error) -> Failure {
    Failure::from_error(FailureKind::Fatal, &error)
}

fn backend(device: &str) -> Result<&'static str, Failure> {
    device::resolve(device).map_err(fatal)
}

fn model_config(arguments: &Arguments, vocab: u32) -> Result<ModelConfig, Failure> {
    let mut config = arguments.model.resolve(vocab)?;
    if let Some(context) = arguments.context {
        config.context = context;
    }
    config.validate().map_err(fatal)?;
    Ok(config)
}

fn check_contexts(plan: &Plan, config: &ModelConfig) -> Result<(), Failure> {
    match plan.phases.iter().find(|phase| phase.context > config.context || phase.context == 0) {
        None => Ok(()),
        Some(phase) => {
            let message =
                format!("phase `{}` has a context of {}, the model has {}", phase.name, phase.context, config.context);
            Err(Failure::fatal(message).with_hint("a phase may only shorten the context; raise the run's `context`"))
        }
    }
}

fn open_log(context: &StepContext<'_>, last_step: u64) -> Result<MetricsLog, Failure> {
    let directory = context.scratch().parent().unwrap_or(context.scratch());
    let path = directory.join(METRICS_FILE);
    MetricsLog::rewound(&path, last_step)
        .map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
}

/// Notes that no document fills the context, whose end then costs memory without being trained.
fn short_documents(sampler: &Sampler) -> Option<String> {
    let (context, longest) = (sampler.context(), sampler.stream().longest_document());
    (context as u64 > longest).then(|| {
        format!(
            "no document fills the context of {context} tokens: samples hold several documents, which do not see each \
             other; the longest has {longest} tokens, and `context = {longest}` learns the same in less memory"
        )
    })
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
