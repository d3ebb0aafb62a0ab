//! `adapter.merge`: adds an adapter to the weights of its model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::stored::{StoredAdapter, unusable};
use crate::handler::{JSON, StepContext, StepError, StepHandler};
use crate::train::{CONFIG_FILE, MODEL_FILE, SAFETENSORS};
use crate::trained_model::TrainedModel;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::device;
use stepwell_train::model::hf_config::saved_model_json;
use stepwell_train::model::weights;
use stepwell_workflow::catalog::{Given, Gives};

pub struct AdapterMerge;
pub static ADAPTER_MERGE: AdapterMerge = AdapterMerge;

/// Arguments of the `adapter.merge` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Model that the adapter was trained on: output `model` of `train` or `model.import`.
    model: ArtifactRef,
    /// Output `adapter` of `train` or `adapter.import`.
    adapter: ArtifactRef,
}

impl StepHandler for AdapterMerge {
    fn kind(&self) -> &'static str {
        "adapter.merge"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "add a LoRA adapter to the weights of its model"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("model", "tree of `config.json` and `model.safetensors`, as of `train`")]),
            values: Given::Named(&[("parameters", "number of weights of the model")]),
        }
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let model = TrainedModel::read(context.artifacts, &arguments.model)?;
        let StoredAdapter { lora, tensors } = StoredAdapter::read(context.artifacts, &arguments.adapter)?;
        lora.validate(&model.config).map_err(|error| unusable(error.to_string()))?;
        let device = device::open("flex").map_err(|error| Failure::from_error(FailureKind::Fatal, &error))?;
        let base = model.on(&model.config, &device)?;
        let merged = base.with_adapters(&lora, &tensors).map_err(|error| unusable(error.to_string()))?;
        let weights = context.artifacts.put_bytes(&weights::save(merged.to_named()), SAFETENSORS)?;
        let config = context.artifacts.put_bytes(&saved_model_json(&model.config, model.special), JSON)?;
        let files = BTreeMap::from([(CONFIG_FILE.to_owned(), config), (MODEL_FILE.to_owned(), weights)]);
        let values = json!({ "parameters": model.config.parameter_counts().total });
        Ok(Outputs::of([("model", context.artifacts.put_tree(&files)?)], values))
    }
}
