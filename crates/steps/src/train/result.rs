//! Outputs of a training: the model, the best model, and their numbers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arguments::ModelOutput;
use super::host::SAFETENSORS;
use crate::adapters;
use crate::handler::{JSON, Reporter};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_train::model::Transformer;
use stepwell_train::model::hf_config::{SpecialTokens, saved_model_json};
use stepwell_train::model::weights::{self, WeightsError};
use stepwell_train::training::Standing;
use stepwell_train::training::checkpoint::{EMA_FILE, WEIGHTS_FILE};
use stepwell_workflow::catalog::{Better, Figure};

/// File in a trained model's tree: Hugging Face fields, and the exact shape under `stepwell`.
pub const CONFIG_FILE: &str = "config.json";
/// File in a trained model's tree: weights in f32 under their Hugging Face names.
pub const MODEL_FILE: &str = "model.safetensors";

pub const OUTPUTS: [(&str, &str); 3] = [
    ("model", "tree of `config.json` and `model.safetensors`"),
    ("best", "such a tree of the state with the lowest loss on `validation`; without validation, that of `model`"),
    ("adapter", "PEFT folder of the adapters that `model` has in its weights; only with `lora`"),
];

pub const VALUES: [Figure; 8] = [
    Figure::new("steps", "optimizer steps"),
    Figure::new("tokens", "tokens that the model has seen"),
    Figure::new("final_loss", "loss of the last step").better(Better::Lower),
    Figure::new("parameters", "number of weights"),
    Figure::new("val_loss", "loss of the last validation; null without `validation`").better(Better::Lower),
    Figure::new("best_val_loss", "lowest loss of a validation; null without `validation`").better(Better::Lower),
    Figure::new("best_step", "step of that validation; null without `validation`"),
    Figure::new("mixture", "samples, tokens and epochs of every source by phase; null without `data`"),
];

/// A training that is complete.
pub struct Trained<'a> {
    pub special: SpecialTokens,
    pub model: &'a Transformer,
    pub loss: Option<f32>,
    pub steps: u64,
    pub tokens: u64,
    pub standing: Standing,
    /// Files of the best checkpoint.
    pub best: Option<&'a ArtifactRef>,
    pub output: ModelOutput,
    /// True if the outputs are the average of the weights.
    pub averaged: bool,
    /// Counts of the sources.
    pub mixture: Value,
}

/// Outputs of one state of the training.
#[derive(Clone)]
struct State {
    model: ArtifactRef,
    adapter: Option<ArtifactRef>,
}

impl Trained<'_> {
    /// Publishes the models. Notes when the best one is gone.
    pub fn publish(&self, artifacts: &ArtifactStore, reporter: &mut dyn Reporter) -> Result<Outputs, Failure> {
        let last = self.state(artifacts, artifacts.put_bytes(&weights::save(self.model.trained()), SAFETENSORS)?)?;
        let best = match self.best_weights(artifacts, reporter) {
            Some(weights) => self.state(artifacts, weights)?,
            None => last.clone(),
        };
        let State { model, adapter } = if self.output == ModelOutput::Best { best.clone() } else { last };
        let named = [("model", Some(model)), ("best", Some(best.model)), ("adapter", adapter)];
        let artifacts = named.into_iter().filter_map(|(name, output)| Some((name.to_owned(), output?))).collect();
        Ok(Outputs { artifacts, values: self.values() })
    }

    /// The outputs of a state whose trained weights are this file.
    fn state(&self, artifacts: &ArtifactStore, trained: ArtifactRef) -> Result<State, Failure> {
        let Some(lora) = self.model.lora() else {
            return Ok(State { model: self.tree(artifacts, trained)?, adapter: None });
        };
        let damaged = |error: WeightsError| Failure::fatal(format!("the adapters cannot be read: {error}"));
        let tensors = weights::load(&artifacts.read(&trained)?).map_err(damaged)?;
        let model = self.model.clone().with_adapters(lora, &tensors).map_err(damaged)?;
        let merged = artifacts.put_bytes(&weights::save(model.to_named()), SAFETENSORS)?;
        let adapter = adapters::publish(artifacts, lora, trained, None)?;
        Ok(State { model: self.tree(artifacts, merged)?, adapter: Some(adapter) })
    }

    fn tree(&self, artifacts: &ArtifactStore, weights: ArtifactRef) -> Result<ArtifactRef, Failure> {
        let config = artifacts.put_bytes(&saved_model_json(self.model.config(), self.special), JSON)?;
        let files = BTreeMap::from([(CONFIG_FILE.to_owned(), config), (MODEL_FILE.to_owned(), weights)]);
        Ok(artifacts.put_tree(&files)?)
    }

    /// Weights of the best checkpoint, which are a file of a model; `None` if the last state is the best.
    fn best_weights(&self, artifacts: &ArtifactStore, reporter: &mut dyn Reporter) -> Option<ArtifactRef> {
        let best = self.standing.best.filter(|best| best.step != self.steps)?;
        let file = || {
            let mut tree = artifacts.read_tree(self.best?).ok()?;
            let weights = tree.entries.remove(if self.averaged { EMA_FILE } else { WEIGHTS_FILE })?;
            artifacts.verify(&weights).ok().map(|()| weights)
        };
        let weights = file();
        if weights.is_none() {
            reporter.note(format!(
                "the best checkpoint, of step {}, is damaged or gone: the output `best` is the last state",
                best.step
            ));
        }
        weights
    }

    fn values(&self) -> Map<String, Value> {
        let rounded = |loss: f32| (f64::from(loss) * 1e6).round() / 1e6;
        let Standing { newest, best, .. } = self.standing;
        let entries = [
            ("steps", json!(self.steps)),
            ("tokens", json!(self.tokens)),
            ("final_loss", json!(self.loss.map(rounded))),
            ("parameters", json!(self.model.config().parameter_counts().total)),
            ("val_loss", json!(newest.map(|newest| rounded(newest.loss)))),
            ("best_val_loss", json!(best.map(|best| rounded(best.loss)))),
            ("best_step", json!(best.map(|best| best.step))),
            ("mixture", self.mixture.clone()),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
