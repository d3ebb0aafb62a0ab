//! Weights of a model under their Hugging Face names: shapes and initial values.

use std::collections::BTreeMap;

use super::config::{Ffn, ModelConfig};
use super::weights::NamedTensor;
use stepwell_base::rng::{Rng, derive_seed};

/// For each stack of matrices that Muon may update, keyed by path: the row count of every matrix.
pub type Matrices = BTreeMap<String, Vec<usize>>;

/// Initial value of a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitialValue {
    /// All ones.
    One,
    /// Normal with mean 0 and this standard deviation.
    Normal { std: f64 },
}

/// Name, shape and initial value of one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    /// Hugging Face name.
    pub name: String,
    /// Rows first; linear layers are `[out, in]`.
    pub shape: Vec<usize>,
    pub initial: InitialValue,
}

impl WeightSpec {
    /// Generates the initial weight of a run: a pure function of the seed and the name.
    pub fn generate(&self, seed: u64) -> NamedTensor {
        let len = self.shape.iter().product();
        let data = match self.initial {
            InitialValue::One => vec![1.0; len],
            InitialValue::Normal { std } => {
                let mut rng = Rng::new(derive_seed(seed, &format!("init/{}", self.name), 0));
                (0..len).map(|_| (rng.normal() * std) as f32).collect()
            }
        };
        NamedTensor { name: self.name.clone(), shape: self.shape.clone(), data }
    }
}

/// Lists all weights in layer order. The tied output head is not a weight of its own.
///
/// Residual output projections start smaller by `sqrt(2 * layers)`, so that the residual stream keeps
/// its scale with depth (Radford et al. 2019).
pub fn weight_specs(config: &ModelConfig) -> Vec<WeightSpec> {
    let std = f64::from(config.init_std);
    let matrix = |name: String, rows: usize, columns: usize| WeightSpec {
        name,
        shape: vec![rows, columns],
        initial: InitialValue::Normal { std },
    };
    let residual = |name: String, rows: usize, columns: usize| WeightSpec {
        initial: InitialValue::Normal { std: std / (2.0 * config.layers as f64).sqrt() },
        ..matrix(name, rows, columns)
    };
    let norm = |name: String, len: usize| WeightSpec { name, shape: vec![len], initial: InitialValue::One };

    let (d, head_dim, hidden) = (config.d_model, config.head_dim, config.ffn.hidden());
    let (query, key) = (config.heads * head_dim, config.kv_heads * head_dim);
    let mut specs = vec![matrix("model.embed_tokens.weight".to_owned(), config.vocab_size, d)];
    for layer in 0..config.layers {
        let name = |part: &str| layer_weight(layer, part);
        specs.push(norm(name("input_layernorm"), d));
        specs.push(matrix(name("self_attn.q_proj"), query, d));
        specs.push(matrix(name("self_attn.k_proj"), key, d));
        specs.push(matrix(name("self_attn.v_proj"), key, d));
        if config.qk_norm {
            specs.push(norm(name("self_attn.q_norm"), head_dim));
            specs.push(norm(name("self_attn.k_norm"), head_dim));
        }
        specs.push(residual(name("self_attn.o_proj"), d, query));
        specs.push(norm(name("post_attention_layernorm"), d));
        if matches!(config.ffn, Ffn::SwiGlu { .. }) {
            specs.push(matrix(name("mlp.gate_proj"), hidden, d));
        }
        specs.push(matrix(name("mlp.up_proj"), hidden, d));
        specs.push(residual(name("mlp.down_proj"), d, hidden));
    }
    specs.push(norm("model.norm.weight".to_owned(), d));
    specs
}

/// Full name of a weight of one layer.
pub(super) fn layer_weight(layer: usize, part: &str) -> String {
    format!("model.layers.{layer}.{part}.weight")
}
