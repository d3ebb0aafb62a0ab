//! Inference on the host with a cache of keys and values: a few tokens at a time, plain Rust.
//!
//! It needs neither gradients nor a device, so it runs the same for models trained anywhere. One
//! token reads every weight once; what counts is the memory's speed, not a matrix product's.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::config::{Ffn, ModelConfig};
use super::model::Transformer;
use super::ops::simd::{LANES, dot, exp, kernel, sum_lanes};
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
        project(&last, &self.embedding, config.d_model).chunks(config.vocab_size).map(<[f32]>::to_vec).collect()
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
        let mut queries = project(&normed, &layer.query, config.d_model);
        let mut keys = project(&normed, &layer.key, config.d_model);
        let values = project(&normed, &layer.value, config.d_model);
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
    /// `out[w, x] = dot(weight row w, x row x)`, the same bits whatever shares a block with a row.
    fn dot_products<'a>(out: &'a mut [f32], x: &'a [f32], weight: &'a [f32], width: usize) -> () {
        let rows = x.len() / width;
        let mut weights = weight.chunks_exact(width);
        let mut outs = out.chunks_mut(BLOCK * rows);
        while let Some(first) = weights.next() {
            let out = outs.next().unwrap_or_default();
            let others = [weights.next(), weights.next(), weights.next()];
            match others {
                [Some(second), Some(third), Some(fourth)] => {
                    dot_block(out, x, [first, second, third, fourth]);
                }
                _ => {
                    let few = std::iter::once(first).chain(others.into_iter().flatten());
                    for (out, weight) in out.chunks_exact_mut(rows).zip(few) {
                        dot_block(out, x, [weight]);
                    }
                }
            }
        }
    }
}

/// Rows of weights, and of `x`, whose products are computed side by side.
const BLOCK: usize = 4;

/// Products of all rows of `x` with `W` rows of weights, `[W, rows]`.
#[inline(always)]
fn dot_block<const W: usize>(out: &mut [f32], x: &[f32], weights: [&[f32]; W]) {
    let width = weights[0].len();
    let rows = x.len() / width;
    let mut write = |row: usize, sums: [f32; W]| {
        for (weight, sum) in sums.into_iter().enumerate() {
            out[weight * rows + row] = sum;
        }
    };
    let whole = rows - rows % BLOCK;
    for row in (0..whole).step_by(BLOCK) {
        let at = |offset: usize| &x[(row + offset) * width..][..width];
        let sums = dots([at(0), at(1), at(2), at(3)], weights);
        sums.into_iter().enumerate().for_each(|(offset, sums)| write(row + offset, sums));
    }
    for row in whole..rows {
        let [sums] = dots([&x[row * width..][..width]], weights);
        write(row, sums);
    }
}

/// [`dot`] of every row of `x` with every row of weights; all rows have the same length.
#[inline(always)]
fn dots<const X: usize, const W: usize>(x: [&[f32]; X], weights: [&[f32]; W]) -> [[f32; W]; X] {
    let mut lanes = [[[0.0f32; LANES]; W]; X];
    let x = x.map(|row| row.as_chunks::<LANES>());
    let weights = weights.map(|row| row.as_chunks::<LANES>());
    for chunk in 0..weights[0].0.len() {
        for (lanes, (x, _)) in lanes.iter_mut().zip(&x) {
            let x = &x[chunk];
            for (lanes, (weight, _)) in lanes.iter_mut().zip(&weights) {
                let weight = &weight[chunk];
                for lane in 0..LANES {
                    lanes[lane] = x[lane].mul_add(weight[lane], lanes[lane]);
                }
            }
        }
    }
    for (lanes, (_, x)) in lanes.iter_mut().zip(&x) {
        for (lanes, (_, weight)) in lanes.iter_mut().zip(&weights) {
            for (lane, (x, weight)) in x.iter().zip(*weight).enumerate() {
                lanes[lane] = x.mul_add(*weight, lanes[lane]);
            }
        }
    }
    lanes.map(|lanes| lanes.map(sum_lanes))
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

    kernel! {
        fn alone<'a>(x: &'a [f32], weight: &'a [f32]) -> f32 {
            dot(x, weight)
        }
    }

    /// Rows, weights and widths that fill no block.
    #[test]
    fn a_row_has_the_same_bits_whatever_is_computed_beside_it() {
        let mut rng = Rng::new(5);
        let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        for (rows, weights, width) in [(1, 1, 16), (1, 7, 33), (4, 64, 40), (6, 131, 37), (16, 66, 320), (3, 3, 5)] {
            let (x, weight) = (values(rows * width), values(weights * width));
            let found = project(&x, &weight, width);
            for (row, found) in found.chunks(weights).enumerate() {
                let x = &x[row * width..][..width];
                let expected: Vec<u32> = weight.chunks(width).map(|weight| alone(x, weight).to_bits()).collect();
                assert_eq!(found.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected, "{rows} {weights} {width}");
            }
        }
    }
}
