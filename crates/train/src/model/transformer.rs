//! Weights of the transformer.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::block::Block;
use super::config::ModelConfig;
use super::layout::{Matrices, weight_specs};
use super::lora::LoraConfig;
use crate::ops::{HeadLayout, RopeTable};
use crate::precision::Precision;

/// A decoder-only transformer with tied embeddings.
#[derive(Module, Debug)]
pub struct Transformer {
    /// `[vocab_size, d_model]`; also the output head.
    pub(super) embedding: Param<Tensor<2>>,
    pub(super) blocks: Vec<Block>,
    /// `[d_model]`.
    pub(super) final_norm: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) config: ModelConfig,
    /// Precision of matrix products.
    #[module(skip)]
    pub(super) precision: Precision,
    /// Number of lowest blocks that are not trained.
    #[module(skip)]
    pub(super) frozen: usize,
    /// Settings of the adapters that are trained in place of the weights.
    #[module(skip)]
    pub(super) lora: Option<LoraConfig>,
    #[module(skip)]
    pub(super) rope: Arc<RopeTable>,
}

impl Transformer {
    /// Initialises a model. Every weight is a pure function of `seed` and its own name, generated on the host, so
    /// that all devices start from the same bits.
    ///
    /// # Panics
    /// When [`ModelConfig::validate`] rejects the configuration.
    pub fn init(config: &ModelConfig, seed: u64, device: &Device) -> Transformer {
        if let Err(error) = config.validate() {
            panic!("the caller validates the configuration: {error}");
        }
        let tensors = weight_specs(config)
            .par_iter()
            .map(|spec| (spec.name.clone(), spec.generate(seed)))
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        Transformer::from_named(config, &tensors, device).expect("the generated weights are those of the configuration")
    }

    /// Freezes the lowest `layers` blocks and the embedding, and no others: no gradient is computed for them, and the
    /// backward pass ends above them. The embedding, which is also the output head, lies below every block and so
    /// freezes with the first one. 0 freezes nothing.
    #[must_use]
    pub fn with_frozen(self, layers: usize) -> Transformer {
        if layers == self.frozen {
            return self;
        }
        let freeze = |(layer, block): (usize, Block)| block.set_require_grad(layer >= layers);
        Transformer {
            embedding: self.embedding.set_require_grad(layers == 0),
            blocks: self.blocks.into_iter().enumerate().map(freeze).collect(),
            frozen: layers,
            ..self
        }
    }

    /// Number of blocks that are frozen.
    pub fn frozen(&self) -> usize {
        self.frozen
    }

    /// Sets the precision of matrix products; a new model has f32. The weights stay f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Transformer {
        Transformer { precision, ..self }
    }

    /// Device that holds the weights.
    pub fn device(&self) -> Device {
        self.embedding.val().device()
    }

    /// Shape with which the model was built.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// For each stacked block parameter, keyed by path: the row count of every matrix in the stack.
    pub fn hidden_matrices(&self) -> Matrices {
        let ModelConfig { heads, kv_heads, head_dim, d_model, ffn, .. } = self.config;
        let (query, key) = (heads * head_dim, kv_heads * head_dim);
        let parameters = [
            ("qkv", vec![query, key, key]),
            ("attention_out", vec![d_model]),
            ("ffn_in", vec![ffn.hidden(); ffn.input_matrices()]),
            ("ffn_out", vec![d_model]),
        ];
        let of_block =
            |layer| parameters.iter().map(move |(name, rows)| (format!("blocks.{layer}.{name}"), rows.clone()));
        (0..self.config.layers).flat_map(of_block).collect()
    }

    pub(super) fn head_layout(&self) -> HeadLayout {
        let ModelConfig { heads, kv_heads, head_dim, .. } = self.config;
        HeadLayout { heads, kv_heads, head_dim }
    }
}
