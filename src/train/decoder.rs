//! Inference on the host with a cache of keys and values: a few tokens at a time, plain Rust.
//!
//! It needs neither gradients nor a device, so it runs the same for models trained anywhere. Every weight is
//! read once for all tokens that are computed together.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::config::{Ffn, ModelConfig};
use super::model::Transformer;
use super::ops::gemm::{Output, Packed, TILE_COLUMNS, View, packed_product};
use super::ops::simd::{dot, exp, kernel};
use super::ops::{RopeTable, gelu_in_place};

/// A model's weights on the host.
pub struct Decoder {
    config: ModelConfig,
    /// `[vocab_size, d_model]`.
    embedding: Vec<f32>,
    /// The same as the output head.
    head: Packed,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    rope: RopeTable,
}

struct Layer {
    input_norm: Vec<f32>,
    query: Packed,
    key: Packed,
    value: Packed,
    head_norms: Option<[Vec<f32>; 2]>,
    output: Packed,
    ffn_norm: Vec<f32>,
    gate: Option<Packed>,
    up: Packed,
    down: Packed,
}

/// Where a row of the residual stream belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: usize,
    /// Of the token in its sequence.
    position: usize,
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
                let ModelConfig { d_model, heads, head_dim, ffn, .. } = config;
                Layer {
                    input_norm: part("input_layernorm"),
                    query: packed(&part("self_attn.q_proj"), d_model),
                    key: packed(&part("self_attn.k_proj"), d_model),
                    value: packed(&part("self_attn.v_proj"), d_model),
                    head_norms: config.qk_norm.then(|| [part("self_attn.q_norm"), part("self_attn.k_norm")]),
                    output: packed(&part("self_attn.o_proj"), heads * head_dim),
                    ffn_norm: part("post_attention_layernorm"),
                    gate: matches!(ffn, Ffn::SwiGlu { .. }).then(|| packed(&part("mlp.gate_proj"), d_model)),
                    up: packed(&part("mlp.up_proj"), d_model),
                    down: packed(&part("mlp.down_proj"), ffn.hidden()),
                }
            })
            .collect();
        let rope = RopeTable::new(config.context, config.head_dim, config.rope_theta);
        let head = packed(&embedding, config.d_model);
        Decoder { config, embedding, head, layers, final_norm, rope }
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
        self.extend_each(&mut [(cache, ids)]).pop().expect("one sequence has one answer")
    }

    /// [`Decoder::extend`] for several sequences, to the same bits: each weight is read once for all of them.
    ///
    /// # Panics
    /// When tokens of a sequence are none, name an id outside the vocabulary, or do not fit the context.
    pub fn extend_each(&self, sequences: &mut [(&mut Cache, &[u32])]) -> Vec<Vec<f32>> {
        let config = &self.config;
        for (cache, ids) in sequences.iter_mut() {
            assert!(!ids.is_empty(), "at least one token");
            assert!(cache.tokens + ids.len() <= config.context, "more tokens than the context of {}", config.context);
            assert!(ids.iter().all(|id| (*id as usize) < config.vocab_size), "an id outside the vocabulary");
            cache.layers.resize_with(self.layers.len(), KeysAndValues::default);
        }
        let places = |(index, (cache, ids)): (usize, &(&mut Cache, &[u32]))| {
            let first = cache.tokens;
            (0..ids.len()).map(move |offset| Place { sequence: index, position: first + offset })
        };
        let rows: Vec<Place> = sequences.iter().enumerate().flat_map(places).collect();
        let row = |id: &u32| &self.embedding[*id as usize * config.d_model..][..config.d_model];
        let mut x: Vec<f32> = sequences.iter().flat_map(|(_, ids)| ids.iter().flat_map(row)).copied().collect();
        for (index, layer) in self.layers.iter().enumerate() {
            self.attend(layer, index, sequences, &rows, &mut x);
            self.feed_forward(layer, &mut x);
        }
        let mut end = 0;
        let mut last = Vec::with_capacity(sequences.len() * config.d_model);
        for (cache, ids) in sequences.iter_mut() {
            cache.tokens += ids.len();
            end += ids.len() * config.d_model;
            last.extend_from_slice(&x[end - config.d_model..end]);
        }
        let last = rms_norm(&last, &self.final_norm, config.norm_eps);
        project(&last, &self.head).chunks(config.vocab_size).map(<[f32]>::to_vec).collect()
    }

    /// Adds the attention branch of a layer to the residual stream of the tokens at `rows`.
    fn attend(
        &self,
        layer: &Layer,
        index: usize,
        sequences: &mut [(&mut Cache, &[u32])],
        rows: &[Place],
        x: &mut [f32],
    ) {
        let config = &self.config;
        let normed = rms_norm(x, &layer.input_norm, config.norm_eps);
        let mut queries = project(&normed, &layer.query);
        let mut keys = project(&normed, &layer.key);
        let values = project(&normed, &layer.value);
        if let Some([query, key]) = &layer.head_norms {
            queries = rms_norm(&queries, query, config.norm_eps);
            keys = rms_norm(&keys, key, config.norm_eps);
        }
        rotate(&mut queries, config.heads, rows, &self.rope);
        rotate(&mut keys, config.kv_heads, rows, &self.rope);
        let width = config.kv_heads * config.head_dim;
        for ((place, keys), values) in rows.iter().zip(keys.chunks(width)).zip(values.chunks(width)) {
            let memory = &mut sequences[place.sequence].0.layers[index];
            memory.keys.extend_from_slice(keys);
            memory.values.extend_from_slice(values);
        }

        let sequences = &*sequences;
        let mixed: Vec<f32> = queries
            .par_chunks(config.head_dim)
            .enumerate()
            .flat_map_iter(|(query_index, query)| {
                let (place, head) = (rows[query_index / config.heads], query_index % config.heads);
                self.attend_head(&sequences[place.sequence].0.layers[index], place.position + 1, head, query)
            })
            .collect();
        add(x, &project(&mixed, &layer.output));
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
        let mut inner = project(&normed, &layer.up);
        match &layer.gate {
            Some(gate) => swiglu(&mut inner, &project(&normed, gate)),
            None => gelu_in_place(&mut inner),
        }
        add(x, &project(&inner, &layer.down));
    }
}

/// A weight `[out, width]` as the right operand of products.
fn packed(weight: &[f32], width: usize) -> Packed {
    let mut packed = Packed::default();
    packed.pack(View::new(weight, weight.len() / width, width).transposed());
    packed
}

/// Rows of `x` times the transpose of `weight` `[out, width]`: `[rows, out]`. A row has the same bits whatever is
/// computed beside it.
fn project(x: &[f32], weight: &Packed) -> Vec<f32> {
    /// Multiplications of a task at least.
    const TASK: usize = 1 << 16;
    let weight = weight.operand();
    let (width, columns) = (weight.inner(), weight.columns());
    let rows = x.len() / width;
    let step = TASK.div_ceil(x.len()).next_multiple_of(TILE_COLUMNS);
    let mut pieces = vec![0.0; rows * columns];
    pieces.par_chunks_mut(step * rows).enumerate().for_each(|(piece, out)| {
        let first = piece * step;
        let part = weight.part(0..width, first..first + out.len() / rows);
        packed_product(out, View::new(x, rows, width), part, 1.0, Output::Overwrite);
    });
    if rows == 1 || step >= columns {
        return pieces;
    }
    let of_row = |row: usize, piece: &[f32]| -> Vec<f32> {
        let columns = piece.len() / rows;
        piece[row * columns..][..columns].to_vec()
    };
    (0..rows).flat_map(|row| pieces.chunks(step * rows).flat_map(move |piece| of_row(row, piece))).collect()
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

/// Applies rotary positions to `heads` heads of each token.
fn rotate(x: &mut [f32], heads: usize, rows: &[Place], rope: &RopeTable) {
    for (index, head) in x.chunks_exact_mut(2 * rope.half).enumerate() {
        let (cos, sin) = rope.at(rows[index / heads].position);
        let (first, second) = head.split_at_mut(rope.half);
        for j in 0..rope.half {
            let (a, b) = (first[j], second[j]);
            first[j] = a * cos[j] - b * sin[j];
            second[j] = b * cos[j] + a * sin[j];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rng::Rng;

    /// Rows, weights and widths that fill no tile; the last is more than one task.
    #[test]
    fn a_row_has_the_same_bits_whatever_is_computed_beside_it() {
        let mut rng = Rng::new(5);
        let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        for (rows, columns, width) in [(1, 1, 16), (1, 7, 33), (4, 64, 40), (6, 131, 37), (3, 3, 5), (16, 515, 1030)] {
            let (x, weight) = (values(rows * width), values(columns * width));
            let operand = packed(&weight, width);
            let found = project(&x, &operand);
            assert_eq!(found.len(), rows * columns);
            for (row, found) in found.chunks(columns).enumerate() {
                let x = &x[row * width..][..width];
                assert_eq!(found, project(x, &operand), "row {row} of {rows}, {columns} x {width}");
                for (column, found) in found.iter().enumerate() {
                    let weight = &weight[column * width..][..width];
                    let expected: f64 = x.iter().zip(weight).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    assert!((f64::from(*found) - expected).abs() < 1e-3, "{found} is not {expected}");
                }
            }
        }
    }
}
