//! Inference on the host with a cache of keys and values: a few tokens at a time, plain Rust.
//!
//! It needs neither gradients nor a device, so it runs the same for models trained anywhere. One
//! token reads every weight once; what counts is the memory's speed, not a matrix product's.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::config::{Ffn, ModelConfig};
use super::model::Transformer;
use super::ops::simd::{dot, exp, kernel};
use super::ops::{RopeTable, gelu_in_place};

/// A model's weights on the host.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: ModelConfig,
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    rope: RopeTable,
}

#[derive(Clone, Debug)]
struct Layer {
    input_norm: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    head_norms: Option<[Vec<f32>; 2]>,
    output: Vec<f32>,
    ffn_norm: Vec<f32>,
    gate: Option<Vec<f32>>,
    up: Vec<f32>,
    down: Vec<f32>,
}

/// Keys and values of the tokens so far, by layer.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    layers: Vec<KeysAndValues>,
    tokens: usize,
}

/// `[tokens, kv_heads * head_dim]` each; keys have their rotary positions applied.
#[derive(Clone, Debug, Default)]
struct KeysAndValues {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cache {
    /// Tokens that the model has seen.
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether the model has seen nothing yet.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }
}

impl Decoder {
    /// Copies the weights to the host.
    pub fn new(model: &Transformer) -> Self {
        let config = model.config().clone();
        let mut weights: BTreeMap<String, Vec<f32>> =
            model.to_named().into_iter().map(|tensor| (tensor.name, tensor.data)).collect();
        let mut take = |name: String| weights.remove(&name).expect("a model names all of its weights");
        let embedding = take("model.embed_tokens.weight".to_owned());
        let final_norm = take("model.norm.weight".to_owned());
        let layers = (0..config.layers)
            .map(|layer| {
                let mut part = |name: &str| take(format!("model.layers.{layer}.{name}.weight"));
                Layer {
                    input_norm: part("input_layernorm"),
                    query: part("self_attn.q_proj"),
                    key: part("self_attn.k_proj"),
                    value: part("self_attn.v_proj"),
                    head_norms: config.qk_norm.then(|| [part("self_attn.q_norm"), part("self_attn.k_norm")]),
                    output: part("self_attn.o_proj"),
                    ffn_norm: part("post_attention_layernorm"),
                    gate: matches!(config.ffn, Ffn::SwiGlu { .. }).then(|| part("mlp.gate_proj")),
                    up: part("mlp.up_proj"),
                    down: part("mlp.down_proj"),
                }
            })
            .collect();
        let rope = RopeTable::new(config.context, config.head_dim, config.rope_theta);
        Decoder { config, embedding, layers, final_norm, rope }
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Appends tokens to the cache and gives the scores of the token after the last one, `[vocab_size]`.
    ///
    /// # Panics
    /// When `ids` is empty, names an id outside the vocabulary, or does not fit the context.
    pub fn extend(&self, cache: &mut Cache, ids: &[u32]) -> Vec<f32> {
        let config = &self.config;
        assert!(!ids.is_empty(), "at least one token");
        assert!(cache.tokens + ids.len() <= config.context, "more tokens than the context of {}", config.context);
        assert!(ids.iter().all(|id| (*id as usize) < config.vocab_size), "an id outside the vocabulary");

        let row = |id: &u32| &self.embedding[*id as usize * config.d_model..][..config.d_model];
        let mut x: Vec<f32> = ids.iter().flat_map(row).copied().collect();
        cache.layers.resize_with(self.layers.len(), KeysAndValues::default);
        for (layer, memory) in self.layers.iter().zip(&mut cache.layers) {
            self.attend(layer, memory, cache.tokens, &mut x);
            self.feed_forward(layer, &mut x);
        }
        cache.tokens += ids.len();
        let last = rms_norm(&x[x.len() - config.d_model..], &self.final_norm, config.norm_eps);
        project(&last, &self.embedding, config.d_model)
    }

    /// Adds the attention branch of a layer to the residual stream of tokens that start at `first`.
    fn attend(&self, layer: &Layer, memory: &mut KeysAndValues, first: usize, x: &mut [f32]) {
        let config = &self.config;
        let normed = rms_norm(x, &layer.input_norm, config.norm_eps);
        let mut queries = project(&normed, &layer.query, config.d_model);
        let mut keys = project(&normed, &layer.key, config.d_model);
        if let Some([query, key]) = &layer.head_norms {
            queries = rms_norm(&queries, query, config.norm_eps);
            keys = rms_norm(&keys, key, config.norm_eps);
        }
        rotate(&mut queries, config.heads, first, &self.rope);
        rotate(&mut keys, config.kv_heads, first, &self.rope);
        memory.keys.extend_from_slice(&keys);
        memory.values.extend(project(&normed, &layer.value, config.d_model));

        let mixed: Vec<f32> = queries
            .par_chunks(config.head_dim)
            .enumerate()
            .flat_map_iter(|(index, query)| {
                let (token, head) = (index / config.heads, index % config.heads);
                self.attend_head(memory, first + token + 1, head, query)
            })
            .collect();
        add(x, &project(&mixed, &layer.output, config.heads * config.head_dim));
    }

    /// Mean of the first `seen` values of a head, weighted by its attention.
    fn attend_head(&self, memory: &KeysAndValues, seen: usize, head: usize, query: &[f32]) -> Vec<f32> {
        let ModelConfig { heads, kv_heads, head_dim, .. } = self.config;
        let stride = kv_heads * head_dim;
        let column = head / (heads / kv_heads) * head_dim;
        let mut out = vec![0.0; head_dim];
        weighted_mean(&mut out, query, &memory.keys[column..], &memory.values[column..], stride, seen);
        out
    }

    fn feed_forward(&self, layer: &Layer, x: &mut [f32]) {
        let config = &self.config;
        let normed = rms_norm(x, &layer.ffn_norm, config.norm_eps);
        let mut inner = project(&normed, &layer.up, config.d_model);
        match &layer.gate {
            Some(gate) => swiglu(&mut inner, &project(&normed, gate, config.d_model)),
            None => gelu_in_place(&mut inner),
        }
        add(x, &project(&inner, &layer.down, config.ffn.hidden()));
    }
}

/// Rows of `x` (`width` wide) times the transpose of `weight` `[out, width]`: `[rows, out]`.
fn project(x: &[f32], weight: &[f32], width: usize) -> Vec<f32> {
    /// Weight rows per task; each stays in cache while all rows of `x` use it.
    const TASK: usize = 64;
    let (rows, columns) = (x.len() / width, weight.len() / width);
    let mut transposed = vec![0.0; rows * columns];
    transposed
        .par_chunks_mut(TASK * rows)
        .zip(weight.par_chunks(TASK * width))
        .for_each(|(out, weight)| dot_products(out, x, weight, width));
    if rows == 1 {
        return transposed;
    }
    (0..rows).flat_map(|row| transposed.iter().skip(row).step_by(rows)).copied().collect()
}

fn add(x: &mut [f32], branch: &[f32]) {
    for (x, branch) in x.iter_mut().zip(branch) {
        *x += branch;
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` for each row of `weight.len()` elements.
fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mut out = x.to_vec();
    norm_rows(&mut out, weight, eps);
    out
}

/// Applies rotary positions to `heads` heads of each token, the first of which is at `position`.
fn rotate(x: &mut [f32], heads: usize, position: usize, rope: &RopeTable) {
    for (index, head) in x.chunks_exact_mut(2 * rope.half).enumerate() {
        let (cos, sin) = rope.at(position + index / heads);
        let (first, second) = head.split_at_mut(rope.half);
        for j in 0..rope.half {
            let (a, b) = (first[j], second[j]);
            first[j] = a * cos[j] - b * sin[j];
            second[j] = b * cos[j] + a * sin[j];
        }
    }
}

kernel! {
    /// `out[w, x] = dot(weight row w, x row x)`.
    fn dot_products<'a>(out: &'a mut [f32], x: &'a [f32], weight: &'a [f32], width: usize) -> () {
        let rows = x.len() / width;
        for (out, weight) in out.chunks_exact_mut(rows).zip(weight.chunks_exact(width)) {
            for (out, x) in out.iter_mut().zip(x.chunks_exact(width)) {
                *out = dot(x, weight);
            }
        }
    }
}

kernel! {
    fn norm_rows<'a>(x: &'a mut [f32], weight: &'a [f32], eps: f32) -> () {
        for x in x.chunks_exact_mut(weight.len()) {
            let inverse = 1.0 / (dot(x, x) / weight.len() as f32 + eps).sqrt();
            for (x, weight) in x.iter_mut().zip(weight) {
                *x = *x * inverse * weight;
            }
        }
    }
}

kernel! {
    fn swiglu<'a>(up: &'a mut [f32], gate: &'a [f32]) -> () {
        for (up, gate) in up.iter_mut().zip(gate) {
            *up *= gate / (1.0 + exp(-gate));
        }
    }
}

kernel! {
    fn weighted_mean<'a>(
        out: &'a mut [f32],
        query: &'a [f32],
        keys: &'a [f32],
        values: &'a [f32],
        stride: usize,
        seen: usize,
    ) -> () {
        let width = query.len();
        let scale = 1.0 / (width as f32).sqrt();
        let row = |matrix: &'a [f32], token: usize| -> &'a [f32] { &matrix[token * stride..][..width] };
        let scores: Vec<f32> = (0..seen).map(|token| dot(query, row(keys, token)) * scale).collect();
        let maximum = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for (token, score) in scores.iter().enumerate() {
            let weight = exp(score - maximum);
            total += weight;
            for (out, value) in out.iter_mut().zip(row(values, token)) {
                *out = weight.mul_add(*value, *out);
            }
        }
        for out in out.iter_mut() {
            *out /= total;
        }
    }
}
