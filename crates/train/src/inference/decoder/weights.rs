//! A model's weights on the host, packed for products.

use std::collections::BTreeMap;

use crate::model::Transformer;
use crate::model::config::{Ffn, ModelConfig};
use crate::ops::gemm::{Form, Packed, View};

/// All weights of a model.
pub(super) struct Weights {
    /// `[vocab_size, d_model]`.
    pub embedding: Vec<f32>,
    /// The embedding, packed as the output head.
    pub head: Packed,
    pub layers: Vec<Layer>,
    pub final_norm: Vec<f32>,
}

/// Weights of a block. Projections that read the same input are one matrix.
pub(super) struct Layer {
    pub input_norm: Vec<f32>,
    /// Queries, keys and values.
    pub qkv: Packed,
    /// Norms of query heads and of key heads, with `qk_norm` only.
    pub head_norms: Option<[Vec<f32>; 2]>,
    pub output: Packed,
    pub ffn_norm: Vec<f32>,
    /// Gate and up, or up alone.
    pub ffn_in: Packed,
    pub ffn_out: Packed,
}

impl Weights {
    pub fn of(model: &Transformer) -> Self {
        let config = model.config();
        let ModelConfig { d_model, heads, head_dim, ffn, .. } = *config;
        let mut weights: BTreeMap<String, Vec<f32>> =
            model.to_named().into_iter().map(|tensor| (tensor.name, tensor.data)).collect();
        let mut take = |name: String| weights.remove(&name).expect("a model names all of its weights");
        let embedding = take("model.embed_tokens.weight".to_owned());
        let final_norm = take("model.norm.weight".to_owned());
        let layers = (0..config.layers)
            .map(|layer| {
                let mut part = |name: &str| take(format!("model.layers.{layer}.{name}.weight"));
                let qkv = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"].map(&mut part).concat();
                let ffn_in = match ffn {
                    Ffn::SwiGlu { .. } => ["mlp.gate_proj", "mlp.up_proj"].map(&mut part).concat(),
                    Ffn::Gelu { .. } => part("mlp.up_proj"),
                };
                Layer {
                    input_norm: part("input_layernorm"),
                    qkv: packed(&qkv, d_model),
                    head_norms: config.qk_norm.then(|| ["self_attn.q_norm", "self_attn.k_norm"].map(&mut part)),
                    output: packed(&part("self_attn.o_proj"), heads * head_dim),
                    ffn_norm: part("post_attention_layernorm"),
                    ffn_in: packed(&ffn_in, d_model),
                    ffn_out: packed(&part("mlp.down_proj"), ffn.hidden()),
                }
            })
            .collect();
        Weights { head: packed(&embedding, d_model), embedding, layers, final_norm }
    }
}

/// Packs a weight `[out, width]` as the right operand of products.
fn packed(weight: &[f32], width: usize) -> Packed {
    let mut packed = Packed::default();
    packed.pack(Form::Plain, View::new(weight, weight.len() / width, width).transposed());
    packed
}
