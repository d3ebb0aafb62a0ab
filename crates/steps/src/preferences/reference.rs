//! `preferences.reference`: what a model thinks of all answers, once for any number of trainings.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::logps::KnownLogps;
use crate::adapters::StoredAdapter;
use crate::handler::{Highlight, StepContext, StepError, StepHandler};
use crate::train::{backend, data_failure, open_files};
use crate::trained_model::TrainedModel;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::token_file::Unit;
use stepwell_train::data::{PackedRow, Packing, PackingKind};
use stepwell_train::device;
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::{Batch, Transformer};
use stepwell_train::precision::Precision;
use stepwell_train::training::preference::logps;
use stepwell_workflow::catalog::{Given, Gives};

pub struct PreferencesReference;
pub static PREFERENCES_REFERENCE: PreferencesReference = PreferencesReference;

/// Arguments of the `preferences.reference` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `tokens` of `preferences.tokenize`, with pairs.
    tokens: Vec<ArtifactRef>,
    /// The reference: output `model` of `train` or `model.import`.
    model: ArtifactRef,
    /// Adapter of the reference.
    #[serde(default)]
    adapter: Option<ArtifactRef>,
    /// Most tokens of an answer with its prompt, as in the training. Default: those of the model.
    #[serde(default)]
    context: Option<usize>,
    /// Pairs at once.
    #[serde(default = "default_batch")]
    batch: std::num::NonZeroU64,
    /// Number format of matrix products, as in the training.
    #[serde(default)]
    precision: Precision,
    /// `auto`, `flex` (CPU), `wgpu`, `vulkan`, `metal` or `cuda`.
    #[serde(default = "default_device")]
    device: String,
}

fn default_batch() -> std::num::NonZeroU64 {
    std::num::NonZeroU64::MIN.saturating_add(3)
}

fn default_device() -> String {
    "auto".to_owned()
}

impl StepHandler for PreferencesReference {
    fn kind(&self) -> &'static str {
        "preferences.reference"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "log-probabilities of chosen and rejected answers under a reference model"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("reference", "JSON: one number per answer")]),
            values: Given::Named(&[
                ("answers", "number of answers"),
                ("left_out", "answers of pairs that do not fit into the context"),
                ("mean_logp", "mean of the log-probabilities of whole answers"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let model = TrainedModel::read(context.artifacts, &arguments.model)?;
        let width = arguments.context.unwrap_or(model.config.context);
        let config = ModelConfig { context: width, ..model.config.clone() };
        config.validate().map_err(|error| Failure::from_error(FailureKind::Fatal, &error))?;
        let stream = open_files(context.artifacts, &arguments.tokens)?;
        if stream.header().unit != Unit::Pair || stream.header().vocab as usize > config.vocab_size {
            return Err(Failure::fatal("the token files hold no pairs of answers for this model")
                .with_hint("give the output of `preferences.tokenize` with the same model")
                .into());
        }
        let backend = backend(&arguments.device)?;
        let device = device::open_with(backend, arguments.precision)
            .map_err(|error| Failure::from_error(FailureKind::Fatal, &error))?;
        let reference = adapted(context, &model.on(&config, &device)?, arguments.adapter.as_ref())?;
        let reference = reference.with_precision(arguments.precision);
        let packing = Packing::of(&stream, width, PackingKind::Pairs).map_err(data_failure)?;
        let mut known = vec![0.0; stream.documents() as usize];
        let stream = Arc::new(stream);
        let (mut done, pairs) = (0, packing.samples());
        while done < pairs {
            let samples = done..pairs.min(done + arguments.batch.get());
            let rows: Vec<PackedRow> = samples.clone().map(|sample| packing.row(&stream, sample)).collect();
            let found = logps(&reference, &batch_of(rows, width));
            for (sample, pair) in samples.clone().zip(found.chunks_exact(2)) {
                if let Some(first) = packing.document(sample) {
                    known[first as usize..first as usize + 2].copy_from_slice(pair);
                }
            }
            done = samples.end;
            context.report(done, pairs, "pairs", String::new())?;
        }
        if let Some(bad) = known.iter().find(|logp| !logp.is_finite()) {
            return Err(Failure::fatal(format!("the reference gives an answer the log-probability {bad}")).into());
        }
        let answers = known.len() as u64;
        let mean = known.iter().sum::<f64>() / (2 * pairs) as f64;
        let file = KnownLogps {
            schema: 1,
            tokens: arguments.tokens.iter().map(|file| file.digest.to_string()).collect(),
            context: width,
            model: arguments.model.digest.to_string(),
            adapter: arguments.adapter.as_ref().map(|adapter| adapter.digest.to_string()),
            logps: known,
        };
        let reference = context.publish_json("the log-probabilities", &file)?;
        let values = json!({ "answers": answers, "left_out": answers - 2 * pairs, "mean_logp": mean });
        Ok(Outputs::of([("reference", reference)], values))
    }
}

fn adapted(
    context: &StepContext<'_>,
    model: &Transformer,
    adapter: Option<&ArtifactRef>,
) -> Result<Transformer, Failure> {
    let Some(adapter) = adapter else { return Ok(model.clone()) };
    let StoredAdapter { lora, tensors } = StoredAdapter::read(context.artifacts, adapter)?;
    model.clone().with_adapters(&lora, &tensors).map_err(|error| {
        Failure::fatal(format!("`adapter` does not fit the model: {error}"))
            .with_hint("give the model that the adapter was trained on")
    })
}

/// Each answer of a pair is a row.
fn batch_of(rows: Vec<PackedRow>, seq: usize) -> Batch {
    let batch = 2 * rows.len();
    let (mut ids, mut targets, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        ids.extend(row.ids);
        targets.extend(row.targets);
        starts.extend(row.starts);
    }
    Batch { ids, targets, starts, batch, seq, dropout_seed: None }
}
