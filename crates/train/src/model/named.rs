//! Converts between the model's fused weights and their Hugging Face names.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use super::block::Block;
use super::config::{Ffn, ModelConfig};
use super::layout::{layer_weight, weight_specs};
use super::lora::merge;
use super::shared::Shared;
use super::weights::{NamedTensor, WeightsError};
use super::{Transformer, WeightSpec};
use crate::ops::RopeTable;
use crate::precision::Precision;

/// Untied copy of the embedding that some exporters write.
const TIED_HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";
const FINAL_NORM: &str = "model.norm.weight";
const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

impl Transformer {
    /// Copies all weights to the host, in layer order, with Hugging Face names and layouts. Adapters are added to the
    /// weights that they belong to.
    pub fn to_named(&self) -> Vec<NamedTensor> {
        let mut weights: Vec<NamedTensor> = self.shared().into_iter().map(NamedTensor::into_host).collect();
        if let Some(lora) = &self.lora {
            let adapters: Vec<NamedTensor> = self.adapters().into_iter().map(NamedTensor::into_host).collect();
            merge(&mut weights, lora, &self.config, &adapters);
        }
        weights
    }

    /// All weights as in [`Transformer::to_named`], but shared with this model, and without its adapters.
    pub fn shared(&self) -> Vec<NamedTensor<Shared>> {
        let mut values = vec![shared(&self.embedding)];
        for block in &self.blocks {
            block.append_to(&self.config, &mut values);
        }
        values.push(shared(&self.final_norm));
        let named = |(spec, data): (WeightSpec, Shared)| NamedTensor { name: spec.name, shape: spec.shape, data };
        weight_specs(&self.config).into_iter().zip(values).map(named).collect()
    }

    /// A model with the shape, device and precision of this one, and other weights.
    ///
    /// # Errors
    /// Those of [`Transformer::from_named`].
    pub fn with_weights(&self, tensors: &BTreeMap<String, NamedTensor>) -> Result<Transformer, WeightsError> {
        let model = Transformer::from_named(&self.config, tensors, &self.device())?;
        Ok(model.with_precision(self.precision))
    }

    /// Builds a model from the given weights. Accepts a `lm_head.weight` that equals the embedding.
    ///
    /// # Errors
    /// `Missing` for a weight that is absent, `Shape` for one of another shape, `Unexpected` for one outside the
    /// configuration.
    pub fn from_named(
        config: &ModelConfig,
        tensors: &BTreeMap<String, NamedTensor>,
        device: &Device,
    ) -> Result<Transformer, WeightsError> {
        let specs = weight_specs(config);
        check(&specs, tensors)?;
        let source = Source { tensors, device };
        let blocks = (0..config.layers).map(|layer| Block::from_source(config, &source, layer)).collect();
        Ok(Transformer {
            embedding: source.matrix(&[EMBEDDING.to_owned()]),
            blocks,
            final_norm: source.vector(FINAL_NORM.to_owned()),
            config: config.clone(),
            precision: Precision::default(),
            frozen: 0,
            lora: None,
            rope: Arc::new(RopeTable::new(config.context, config.head_dim, config.rope_theta)),
        })
    }
}

impl Block {
    fn from_source(config: &ModelConfig, source: &Source<'_>, layer: usize) -> Block {
        let name = |part: &str| layer_weight(layer, part);
        let head_norm = |part: &str| config.qk_norm.then(|| source.vector(name(part)));
        Block {
            input_norm: source.vector(name("input_layernorm")),
            qkv: source.matrix(&QKV.map(name)),
            query_norm: head_norm("self_attn.q_norm"),
            key_norm: head_norm("self_attn.k_norm"),
            attention_out: source.matrix(&[name("self_attn.o_proj")]),
            ffn_norm: source.vector(name("post_attention_layernorm")),
            ffn_in: match config.ffn {
                Ffn::SwiGlu { .. } => source.matrix(&["mlp.gate_proj", "mlp.up_proj"].map(name)),
                Ffn::Gelu { .. } => source.matrix(&[name("mlp.up_proj")]),
            },
            ffn_out: source.matrix(&[name("mlp.down_proj")]),
            lora: None,
        }
    }

    /// Appends the values of this block in the order of [`weight_specs`].
    fn append_to(&self, config: &ModelConfig, values: &mut Vec<Shared>) {
        let width = config.d_model;
        let [query, key] = [config.heads, config.kv_heads].map(|heads| heads * config.head_dim * width);
        values.push(shared(&self.input_norm));
        values.extend(shared(&self.qkv).split(&[query, key, key]));
        values.extend([&self.query_norm, &self.key_norm].into_iter().flatten().map(shared));
        values.push(shared(&self.attention_out));
        values.push(shared(&self.ffn_norm));
        let inputs = vec![config.ffn.hidden() * width; config.ffn.input_matrices()];
        values.extend(shared(&self.ffn_in).split(&inputs));
        values.push(shared(&self.ffn_out));
    }
}

/// Weights whose names and shapes were checked.
struct Source<'a> {
    tensors: &'a BTreeMap<String, NamedTensor>,
    device: &'a Device,
}

impl Source<'_> {
    fn vector(&self, name: String) -> Param<Tensor<1>> {
        let tensor = &self.tensors[&name];
        Param::from_data(TensorData::new(tensor.data.clone(), tensor.shape.clone()), self.device)
    }

    /// Stacks the rows of matrices that read the same input.
    fn matrix(&self, names: &[String]) -> Param<Tensor<2>> {
        let parts: Vec<&NamedTensor> = names.iter().map(|name| &self.tensors[name]).collect();
        let columns = parts[0].shape[1];
        let data: Vec<f32> = parts.iter().flat_map(|part| part.data.iter().copied()).collect();
        Param::from_data(TensorData::new(data, [parts.iter().map(|part| part.shape[0]).sum(), columns]), self.device)
    }
}

fn check(specs: &[WeightSpec], tensors: &BTreeMap<String, NamedTensor>) -> Result<(), WeightsError> {
    for spec in specs {
        let tensor = tensors.get(&spec.name).ok_or_else(|| WeightsError::Missing { name: spec.name.clone() })?;
        let elements: usize = spec.shape.iter().product();
        if tensor.shape != spec.shape || tensor.data.len() != elements {
            let (expected, found) = (spec.shape.clone(), tensor.shape.clone());
            return Err(WeightsError::Shape { name: spec.name.clone(), expected, found });
        }
    }
    let known = |name: &str| specs.iter().any(|spec| spec.name == name);
    let tied = |tensor: &NamedTensor| tensor.name == TIED_HEAD && tensor.data == tensors[EMBEDDING].data;
    match tensors.iter().find(|(name, tensor)| !known(name) && !tied(tensor)) {
        None => Ok(()),
        Some((name, _)) => Err(WeightsError::Unexpected { name: name.clone() }),
    }
}

fn shared<const D: usize>(param: &Param<Tensor<D>>) -> Shared {
    Shared::parameter(param.val())
}
