//! The forward pass of the decoder.

use std::ops::Range;
use std::sync::Arc;

use super::attention::{Workspace, attend};
use super::cache::{Cache, KeysAndValues};
use super::weights::{Layer, Weights};
use crate::cpu::thread_team;
use crate::model::Transformer;
use crate::model::config::{Ffn, ModelConfig};
use crate::ops::gemm::{Output, Packed, View, parallel_packed_product};
use crate::ops::{
    AttentionContext, HeadLayout, RopeTable, attention, cap_row, gelu_in_place, rms_norm_in_place, rms_norm_rows,
    rotate_heads, swiglu_rows,
};

/// Number of sequences that make enough use of a weight once it was read.
const SEQUENCES_PER_READ: usize = 8;

/// Rows that one task normalises or activates.
const ROWS_PER_TASK: usize = 32;

/// Weights of a model on the host, ready for inference.
pub struct Decoder {
    config: ModelConfig,
    layout: HeadLayout,
    weights: Weights,
    rope: Arc<RopeTable>,
}

/// Tokens of one sequence that one call computes together.
struct Span {
    /// Their rows in the residual stream.
    rows: Range<usize>,
    /// Position of the first token in its sequence.
    first: usize,
}

/// Intermediate results by row, which all layers reuse.
struct Rows {
    /// The residual stream, `[rows, d_model]`.
    x: Vec<f32>,
    normed: Vec<f32>,
    /// Queries, keys and values.
    qkv: Vec<f32>,
    /// Output of attention.
    mixed: Vec<f32>,
    /// Gate and up, or up alone.
    ffn_in: Vec<f32>,
    /// Output of the activation, `[rows, hidden]`.
    hidden: Vec<f32>,
}

impl Decoder {
    /// Copies the weights to the host.
    pub fn new(model: &Transformer) -> Self {
        let config = model.config().clone();
        let ModelConfig { heads, kv_heads, head_dim, .. } = config;
        let layout = HeadLayout { heads, kv_heads, head_dim };
        let rope = Arc::new(RopeTable::new(config.context, head_dim, config.rope_theta));
        Decoder { config, layout, weights: Weights::of(model), rope }
    }

    /// Shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Number of sequences that are worth continuing at a time.
    pub fn batch_size(&self) -> usize {
        (SEQUENCES_PER_READ * thread_team::threads()).max(2 * SEQUENCES_PER_READ)
    }

    /// Number of sequences, out of `sequences`, that one thread continues by itself. A small model stays in the cache
    /// of each core, and threads that never wait for each other are faster. The weights of a large model should be
    /// read only once.
    pub fn group(&self, sequences: usize) -> usize {
        /// Number of weights up to which a model is small.
        const SMALL: usize = 1 << 23;
        let alone =
            self.config.parameter_counts().total <= SMALL && sequences / SEQUENCES_PER_READ >= thread_team::threads();
        if alone { sequences.div_ceil(thread_team::threads()) } else { sequences.max(1) }
    }

    /// Appends tokens to the cache and returns the scores of the token after the last one, `[vocab_size]`.
    ///
    /// # Panics
    /// When `ids` is empty, names an id outside the vocabulary, or does not fit the context.
    pub fn extend(&self, cache: &mut Cache, ids: &[u32]) -> Vec<f32> {
        self.extend_each(&mut [(cache, ids)])
    }

    /// [`Decoder::extend`] for several sequences, with the same bits. Reads each weight once for all of them and
    /// returns scores `[sequences, vocab_size]`.
    ///
    /// # Panics
    /// When a sequence has no tokens, names an id outside the vocabulary, or does not fit the context.
    pub fn extend_each(&self, sequences: &mut [(&mut Cache, &[u32])]) -> Vec<f32> {
        let config = &self.config;
        let mut spans = Vec::with_capacity(sequences.len());
        let mut rows = 0;
        for (cache, ids) in sequences.iter_mut() {
            assert!(!ids.is_empty(), "at least one token");
            assert!(cache.tokens + ids.len() <= config.context, "more tokens than the context of {}", config.context);
            assert!(ids.iter().all(|id| (*id as usize) < config.vocab_size), "an id outside the vocabulary");
            cache.layers.resize_with(config.layers, KeysAndValues::default);
            spans.push(Span { rows: rows..rows + ids.len(), first: cache.tokens });
            rows += ids.len();
        }
        let mut state = Rows::new(config, self.layout, rows);
        let ids = sequences.iter().flat_map(|(_, ids)| ids.iter());
        for (x, id) in state.x.chunks_exact_mut(config.d_model).zip(ids) {
            x.copy_from_slice(&self.weights.embedding[*id as usize * config.d_model..][..config.d_model]);
        }
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let mut memories: Vec<&mut KeysAndValues> =
                sequences.iter_mut().map(|(cache, _)| &mut cache.layers[index]).collect();
            self.attention_branch(layer, &mut memories, &spans, &mut state);
            self.ffn_branch(layer, &mut state);
        }

        let mut last = Vec::with_capacity(spans.len() * config.d_model);
        for ((cache, ids), span) in sequences.iter_mut().zip(&spans) {
            cache.tokens += ids.len();
            last.extend_from_slice(&state.x[(span.rows.end - 1) * config.d_model..][..config.d_model]);
        }
        let mut normed = vec![0.0; last.len()];
        norm(&mut normed, &last, &self.weights.final_norm, config.norm_eps);
        let mut scores = vec![0.0; spans.len() * config.vocab_size];
        project(&mut scores, &normed, &self.weights.head, Output::Overwrite);
        if config.logit_softcap > 0.0 {
            cap_row(&mut scores, config.logit_softcap);
        }
        scores
    }

    /// Adds the attention branch of a layer to the residual stream; `memories` has one entry per sequence.
    fn attention_branch(&self, layer: &Layer, memories: &mut [&mut KeysAndValues], spans: &[Span], state: &mut Rows) {
        let Rows { x, normed, qkv, mixed, .. } = state;
        norm(normed, x, &layer.input_norm, self.config.norm_eps);
        project(qkv, normed, &layer.qkv, Output::Overwrite);
        let (width, query_width) = (self.layout.width(), self.layout.query_width());
        let mut tasks = Vec::with_capacity(spans.len());
        let (mut qkv_rest, mut mixed_rest) = (qkv.as_mut_slice(), mixed.as_mut_slice());
        for (memory, span) in memories.iter_mut().zip(spans) {
            let (qkv, mixed);
            (qkv, qkv_rest) = qkv_rest.split_at_mut(span.rows.len() * width);
            (mixed, mixed_rest) = mixed_rest.split_at_mut(span.rows.len() * query_width);
            tasks.push((memory, span.first, qkv, mixed));
        }
        thread_team::each(tasks, |(memory, first, qkv, mixed)| {
            memory.reserve(first + mixed.len() / query_width, self.layout);
            if let Some([query, key]) = &layer.head_norms {
                for row in qkv.chunks_exact_mut(width) {
                    let (queries, rest) = row.split_at_mut(query_width);
                    rms_norm_in_place(queries, query, self.config.norm_eps);
                    rms_norm_in_place(&mut rest[..self.layout.key_width()], key, self.config.norm_eps);
                }
            }
            match first {
                0 => self.attend_prompt(memory, qkv, mixed),
                _ => self.attend_tokens(memory, first, qkv, mixed),
            }
        });
        project(x, mixed, &layer.output, Output::Add);
    }

    /// Fills an empty memory with a whole prompt, which attends to itself as a sample does in training.
    fn attend_prompt(&self, memory: &mut KeysAndValues, qkv: &mut [f32], mixed: &mut [f32]) {
        let layout = self.layout;
        let seq = qkv.len() / layout.width();
        let context = AttentionContext::new(1, seq, layout, vec![0; seq], self.rope.clone());
        mixed.copy_from_slice(&attention(qkv, &context).out);
        for (token, row) in qkv.chunks_exact_mut(layout.width()).enumerate() {
            let (keys, values) = row[layout.query_width()..].split_at_mut(layout.key_width());
            rotate_heads(keys, self.rope.at(token));
            memory.put(token, keys, values, layout.head_dim);
        }
    }

    /// Appends tokens to the memory. Each token attends to itself and to all tokens before it.
    fn attend_tokens(&self, memory: &mut KeysAndValues, first: usize, qkv: &mut [f32], mixed: &mut [f32]) {
        let layout = self.layout;
        let mut workspace = Workspace::default();
        let rows = qkv.chunks_exact_mut(layout.width()).zip(mixed.chunks_exact_mut(layout.query_width()));
        for (token, (row, mixed)) in (first..).zip(rows) {
            let (queries, rest) = row.split_at_mut(layout.query_width());
            let (keys, values) = rest.split_at_mut(layout.key_width());
            rotate_heads(queries, self.rope.at(token));
            rotate_heads(keys, self.rope.at(token));
            memory.put(token, keys, values, layout.head_dim);
            attend(mixed, queries, memory, token + 1, layout, &mut workspace);
        }
    }

    fn ffn_branch(&self, layer: &Layer, state: &mut Rows) {
        let Rows { x, normed, ffn_in, hidden, .. } = state;
        norm(normed, x, &layer.ffn_norm, self.config.norm_eps);
        match self.config.ffn {
            Ffn::SwiGlu { hidden: width } => {
                project(ffn_in, normed, &layer.ffn_in, Output::Overwrite);
                by_rows(hidden, ffn_in, [width, 2 * width], |out, gate_up| swiglu_rows(out, gate_up, width));
            }
            Ffn::Gelu { hidden: width } => {
                project(hidden, normed, &layer.ffn_in, Output::Overwrite);
                thread_team::each(hidden.chunks_mut(ROWS_PER_TASK * width), gelu_in_place);
            }
        }
        project(x, hidden, &layer.ffn_out, Output::Add);
    }
}

impl Rows {
    fn new(config: &ModelConfig, layout: HeadLayout, rows: usize) -> Self {
        let of_width = |width: usize| vec![0.0; rows * width];
        let hidden = config.ffn.hidden();
        Rows {
            x: of_width(config.d_model),
            normed: of_width(config.d_model),
            qkv: of_width(layout.width()),
            mixed: of_width(layout.query_width()),
            ffn_in: of_width(match config.ffn {
                Ffn::SwiGlu { .. } => 2 * hidden,
                Ffn::Gelu { .. } => 0,
            }),
            hidden: of_width(hidden),
        }
    }
}

/// Multiplies the rows of `x` by the transpose of a weight `[out, width]`: `[rows, out]`.
fn project(out: &mut [f32], x: &[f32], weight: &Packed, output: Output) {
    let weight = weight.operand();
    parallel_packed_product(out, View::new(x, x.len() / weight.inner(), weight.inner()), weight, output);
}

/// Calls `work` on all threads with the rows of a few tokens; rows have `widths[0]` elements in `out` and `widths[1]`
/// in `x`.
fn by_rows(out: &mut [f32], x: &[f32], widths: [usize; 2], work: impl Fn(&mut [f32], &[f32]) + Sync) {
    let [out_len, x_len] = widths.map(|width| ROWS_PER_TASK * width);
    thread_team::each(out.chunks_mut(out_len).zip(x.chunks(x_len)), |(out, x)| work(out, x));
}

/// Applies RMSNorm to each row.
fn norm(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    by_rows(out, x, [weight.len(); 2], |out, x| rms_norm_rows(out, x, weight, eps));
}
