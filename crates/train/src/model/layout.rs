//! Weights of a model under their Hugging Face names: shapes and initial values.

use std::collections::BTreeMap;

use super::config::{Ffn, Init, ModelConfig};
use super::scales::CompleteP;
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
    /// All the same.
    Constant(f64),
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
            InitialValue::Constant(value) => vec![value as f32; len],
            // Not drawn times 0, which has negative zeros.
            InitialValue::Normal { std: 0.0 } => vec![0.0; len],
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
/// By default, residual output projections start smaller by `sqrt(2 * layers)`, so that the residual stream keeps
/// its scale with depth (Radford et al. 2019).
pub fn weight_specs(config: &ModelConfig) -> Vec<WeightSpec> {
    let std = f64::from(config.init_std);
    let Stds { hidden: hidden_std, residual: residual_std, final_norm } = Stds::of(config);
    let matrix = |name: String, rows: usize, columns: usize| WeightSpec {
        name,
        shape: vec![rows, columns],
        initial: InitialValue::Normal { std },
    };
    let residual = |name: String, rows: usize, columns: usize| WeightSpec {
        initial: InitialValue::Normal { std: residual_std },
        ..matrix(name, rows, columns)
    };
    let inner = |name: String, rows: usize, columns: usize| WeightSpec {
        initial: InitialValue::Normal { std: hidden_std },
        ..matrix(name, rows, columns)
    };
    let norm = |name: String, len: usize| WeightSpec { name, shape: vec![len], initial: InitialValue::One };

    let (d, head_dim, hidden) = (config.d_model, config.head_dim, config.ffn.hidden());
    let (query, key) = (config.heads * head_dim, config.kv_heads * head_dim);
    let mut specs = vec![matrix("model.embed_tokens.weight".to_owned(), config.vocab_size, d)];
    for layer in 0..config.layers {
        let name = |part: &str| layer_weight(layer, part);
        specs.push(norm(name("input_layernorm"), d));
        specs.push(inner(name("self_attn.q_proj"), query, d));
        specs.push(inner(name("self_attn.k_proj"), key, d));
        specs.push(inner(name("self_attn.v_proj"), key, d));
        if config.qk_norm {
            specs.push(norm(name("self_attn.q_norm"), head_dim));
            specs.push(norm(name("self_attn.k_norm"), head_dim));
        }
        specs.push(residual(name("self_attn.o_proj"), d, query));
        specs.push(norm(name("post_attention_layernorm"), d));
        if matches!(config.ffn, Ffn::SwiGlu { .. }) {
            specs.push(inner(name("mlp.gate_proj"), hidden, d));
        }
        specs.push(inner(name("mlp.up_proj"), hidden, d));
        specs.push(residual(name("mlp.down_proj"), d, hidden));
    }
    specs.push(WeightSpec { initial: final_norm, ..norm("model.norm.weight".to_owned(), d) });
    specs
}

/// Standard deviations of the matrices of blocks, and the initial weight of the final norm.
struct Stds {
    hidden: f64,
    residual: f64,
    final_norm: InitialValue,
}

impl Stds {
    fn of(config: &ModelConfig) -> Self {
        let std = f64::from(config.init_std);
        let final_norm = InitialValue::One;
        match config.init {
            Init::Gpt2Depth => Stds { hidden: std, residual: std / (2.0 * config.layers as f64).sqrt(), final_norm },
            Init::Plain => Stds { hidden: std, residual: std, final_norm },
            Init::ZeroOut => Stds { hidden: std, residual: 0.0, final_norm },
            Init::Completep { .. } => {
                let CompleteP { width, depth } = CompleteP::of(config);
                let hidden = std / width.sqrt();
                Stds { hidden, residual: hidden / depth, final_norm: InitialValue::Constant(1.0 / width) }
            }
        }
    }
}

/// Full name of a weight of one layer.
pub(super) fn layer_weight(layer: usize, part: &str) -> String {
    format!("model.layers.{layer}.{part}.weight")
}
