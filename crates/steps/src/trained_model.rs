//! Reads the output `model` of a `train` step.

use super::models::read_as_trained;
use super::text_codec::TextCodec;
use super::train::{CONFIG_FILE, MODEL_FILE};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::device::{self, Device};
use stepwell_train::model::Transformer;
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::hf_config::{SavedModel, SpecialTokens};
use stepwell_train::model::weights;

/// Files of a trained model, read and checked.
pub struct TrainedModel {
    pub config: ModelConfig,
    pub special: SpecialTokens,
    /// Bytes of `model.safetensors`.
    pub weights: Vec<u8>,
}

impl TrainedModel {
    /// # Errors
    /// When the artifact is not the output of `train`, or is damaged.
    pub fn read(artifacts: &ArtifactStore, model: &ArtifactRef) -> Result<Self, Failure> {
        let tree = artifacts.read_tree(model)?;
        let file = |name: &str| {
            let entry = tree.entries.get(name).ok_or_else(|| unusable(format!("it has no file `{name}`")))?;
            artifacts.read(entry).map_err(Failure::from)
        };
        let is_gguf =
            !tree.entries.contains_key(CONFIG_FILE) && tree.entries.keys().any(|name| name.ends_with(".gguf"));
        if is_gguf {
            return read_as_trained(artifacts, model);
        }
        let config = file(CONFIG_FILE)?;
        let saved: SavedModel = match serde_json::from_slice(&config) {
            Ok(saved) => saved,
            Err(_) if is_imported(&config) => return read_as_trained(artifacts, model),
            Err(error) => return Err(unusable(format!("{CONFIG_FILE}: {error}"))),
        };
        TrainedModel::from_files(saved, file(MODEL_FILE)?)
    }

    /// Builds the model from the contents of `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn from_files(saved: SavedModel, weights: Vec<u8>) -> Result<Self, Failure> {
        let SavedModel { stepwell: config, bos_token_id, eos_token_id, pad_token_id } = saved;
        config.validate().map_err(|error| unusable(error.to_string()))?;
        let special = SpecialTokens { bos_token_id, eos_token_id, pad_token_id };
        Ok(TrainedModel { config, special, weights })
    }

    /// Loads the model onto a device, without automatic differentiation.
    ///
    /// # Errors
    /// When the device cannot be opened or the weights do not fit the configuration.
    pub fn load(&self, device: &str) -> Result<Transformer, Failure> {
        let device = device::open(device).map_err(|error| Failure::from_error(FailureKind::Fatal, &error))?;
        self.on(&self.config, &device)
    }

    /// Puts the weights onto an open device. `config` may have another context.
    ///
    /// # Errors
    /// When the weights do not fit the configuration.
    pub fn on(&self, config: &ModelConfig, device: &Device) -> Result<Transformer, Failure> {
        let tensors = weights::load(&self.weights).map_err(|error| unusable(error.to_string()))?;
        Transformer::from_named(config, &tensors, device).map_err(|error| unusable(error.to_string()))
    }

    /// # Errors
    /// When the tokenizer is not the one that the model was trained with.
    pub fn check_tokenizer(&self, codec: &TextCodec) -> Result<(), Failure> {
        if codec.special == self.special && codec.vocab() as usize <= self.config.vocab_size {
            return Ok(());
        }
        let message = format!(
            "the tokenizer has {} tokens, the model was trained with another one of up to {}",
            codec.vocab(),
            self.config.vocab_size
        );
        Err(Failure::fatal(message).with_hint("pass the tokenizer of the `train` step"))
    }
}

/// True for a configuration that `transformers` wrote: it lacks the exact shape that a training has.
fn is_imported(config: &[u8]) -> bool {
    let fields: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(config);
    fields.is_ok_and(|fields| fields.contains_key("model_type") && !fields.contains_key("stepwell"))
}

fn unusable(why: String) -> Failure {
    Failure::fatal(format!("the model cannot be used: {why}")).with_hint("`model` must be the output of `train`")
}
