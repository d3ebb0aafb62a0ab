//! The forward pass over pieces of sequences.

#![expect(unsafe_code, reason = "threads use different places of the cache")]

use super::rope::Angles;
use super::weights::{Layer, Network};
use crate::cache::Pool;
use crate::kernels::{
    Activations, Dtype, HeadLayout, Input, KeysAndValues, Matrix, Piece, Quantised, Workers, add_and_norm, add_to,
    attend, by_rows, norm_heads, product, rotate, store, swiglu,
};

/// Tokens of a piece whose logits are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Nothing,
    Last,
    All,
}

/// Tokens of one sequence that a step computes.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub tokens: &'a [u32],
    /// Position of the first one.
    pub first: usize,
    /// Blocks of the cache that hold the sequence, in order; they reach past the last token.
    pub blocks: &'a [u32],
    pub wanted: Wanted,
    /// See [`Frequencies::extends`](super::rope::Frequencies::extends).
    pub extended: bool,
}

/// Buffers of the forward pass, reused by all steps.
#[derive(Default)]
pub struct Forward {
    angles: Angles,
    /// The residual stream.
    x: Activations,
    normed: Activations,
    /// Queries, keys and values.
    qkv: Activations,
    /// Output of attention.
    mixed: Activations,
    /// Gate and up.
    ffn_in: Activations,
    /// Output of the activation.
    hidden: Activations,
    /// What the last projection adds to the residual stream.
    addition: Activations,
    bytes: Quantised,
    logits: Activations,
}

impl Forward {
    /// Computes the spans and fills their places in the cache. Afterwards the wanted rows are ready for [`Forward::logits`],
    /// in the order of the spans.
    ///
    /// # Panics
    /// If a token is outside of the vocabulary, or the blocks do not reach past the last token.
    pub fn run(&mut self, workers: &Workers, network: &Network, pool: &mut Pool, spans: &[Span<'_>]) {
        let sizes = network.sizes();
        let positions: Vec<(usize, bool)> = spans
            .iter()
            .flat_map(|span| (span.first..).take(span.tokens.len()).map(|position| (position, span.extended)))
            .collect();
        let rows = positions.len();
        self.angles.set(&network.frequencies, &positions);
        self.x.reshape(rows, sizes.hidden);
        let ids = spans.iter().flat_map(|span| span.tokens.iter());
        let embedding = network.embedding.as_ref().unwrap_or(&network.head);
        by_rows(workers, rows, self.x.iter_mut().zip(ids), |(x, id)| embedding.row_into(*id as usize, x));
        for (index, layer) in network.layers.iter().enumerate() {
            let step = LayerStep { workers, layer, layout: sizes.heads, eps: sizes.norm_eps, first: index == 0 };
            step.attention(self, pool.layer(index), spans);
            step.ffn(self);
        }
        self.keep_wanted(workers, network, spans);
    }

    /// Logits of one or more wanted rows, one row each.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn logits(&mut self, workers: &Workers, network: &Network, rows: std::ops::Range<usize>) -> &Activations {
        self.x.reshape(rows.len(), network.sizes().hidden);
        for (x, row) in self.x.iter_mut().zip(rows) {
            x.copy_from_slice(self.normed.row(row));
        }
        project(workers, &mut self.logits, &self.x, &mut self.bytes, &network.head);
        &self.logits
    }

    /// Leaves the wanted rows in `normed`, after the last norm.
    fn keep_wanted(&mut self, workers: &Workers, network: &Network, spans: &[Span<'_>]) {
        let mut wanted = Vec::new();
        let mut first = 0;
        for span in spans {
            let end = first + span.tokens.len();
            match span.wanted {
                Wanted::Nothing => {}
                Wanted::Last => wanted.push(end - 1),
                Wanted::All => wanted.extend(first..end),
            }
            first = end;
        }
        self.normed.reshape(wanted.len(), network.sizes().hidden);
        for (out, row) in self.normed.iter_mut().zip(wanted) {
            let (x, addition) = (self.x.row_mut(row), self.addition.row(row));
            let (weight, eps) = (&network.final_norm, network.sizes().norm_eps);
            add_and_norm(workers.instructions(), out, x, Some(addition), weight, eps);
        }
    }
}

/// One layer of one step.
struct LayerStep<'a> {
    workers: &'a Workers,
    layer: &'a Layer,
    layout: HeadLayout,
    eps: f32,
    /// No projection has come before.
    first: bool,
}

impl LayerStep<'_> {
    fn attention(&self, state: &mut Forward, memory: KeysAndValues<'_>, spans: &[Span<'_>]) {
        let layer = self.layer;
        self.norm(state, &layer.input_norm, !self.first);
        project(self.workers, &mut state.qkv, &state.normed, &mut state.bytes, &layer.qkv);
        let mut pieces = Vec::with_capacity(spans.len());
        let mut row = 0;
        for span in spans {
            let memory = KeysAndValues { blocks: span.blocks, ..memory };
            pieces.push(Piece { rows: row..row + span.tokens.len(), first: span.first, memory });
            row += span.tokens.len();
        }
        let places = pieces.iter().flat_map(|piece| {
            let positions = piece.first..piece.first + piece.rows.len();
            piece.rows.clone().zip(positions).map(|(row, position)| (piece.memory, row, position))
        });
        let (queries, keys) = (self.layout.query_width(), self.layout.key_width());
        let instructions = self.workers.instructions();
        by_rows(self.workers, row, state.qkv.iter_mut().zip(places), |(qkv, (memory, row, position))| {
            if !layer.qkv_bias.is_empty() {
                add_to(instructions, qkv, &layer.qkv_bias);
            }
            let (query, rest) = qkv.split_at_mut(queries);
            let (key, value) = rest.split_at_mut(keys);
            if let Some([query_norm, key_norm]) = &layer.head_norms {
                norm_heads(instructions, query, query_norm, self.eps);
                norm_heads(instructions, key, key_norm, self.eps);
            }
            let (cosines, sines) = state.angles.row(row);
            rotate(instructions, query, cosines, sines);
            rotate(instructions, key, cosines, sines);
            // SAFETY: the pool is borrowed exclusively by `run`. Rows have different positions or sequences, and no block
            // that a sequence still fills belongs to another one.
            unsafe {
                store(memory, position, key, value, self.layout);
            }
        });
        // SAFETY: as above; all positions of the pieces have been written now or by earlier steps, and nothing writes.
        unsafe {
            attend(self.workers, &mut state.mixed, &state.qkv, &pieces, layer.window, self.layout);
        }
        project(self.workers, &mut state.addition, &state.mixed, &mut state.bytes, &layer.output);
        self.add_bias(&mut state.addition, &layer.output_bias);
    }

    fn ffn(&self, state: &mut Forward) {
        let layer = self.layer;
        self.norm(state, &layer.ffn_norm, true);
        project(self.workers, &mut state.ffn_in, &state.normed, &mut state.bytes, &layer.ffn_in);
        self.add_bias(&mut state.ffn_in, &layer.ffn_in_bias);
        let width = layer.down.inputs();
        state.hidden.reshape(state.ffn_in.rows(), width);
        let rows = state.hidden.rows();
        by_rows(self.workers, rows, state.hidden.iter_mut().zip(state.ffn_in.iter()), |(out, gate_up)| {
            let (gates, ups) = gate_up.split_at(width);
            swiglu(self.workers.instructions(), out, gates, ups);
        });
        project(self.workers, &mut state.addition, &state.hidden, &mut state.bytes, &layer.down);
        self.add_bias(&mut state.addition, &layer.down_bias);
    }

    /// Adds what the last projection left to the residual stream, and normalises it.
    fn norm(&self, state: &mut Forward, weight: &[f32], adds: bool) {
        let Forward { x, normed, addition, .. } = state;
        normed.reshape(x.rows(), x.width());
        if !adds {
            addition.reshape(x.rows(), x.width());
        }
        let rows = x.rows();
        let items = normed.iter_mut().zip(x.iter_mut()).zip(addition.iter());
        by_rows(self.workers, rows, items, |((out, x), addition)| {
            add_and_norm(self.workers.instructions(), out, x, adds.then_some(addition), weight, self.eps);
        });
    }

    fn add_bias(&self, values: &mut Activations, bias: &[f32]) {
        if !bias.is_empty() {
            let rows = values.rows();
            by_rows(self.workers, rows, values.iter_mut(), |row| add_to(self.workers.instructions(), row, bias));
        }
    }
}

fn project(workers: &Workers, out: &mut Activations, values: &Activations, bytes: &mut Quantised, matrix: &Matrix) {
    if matrix.dtype() == Dtype::Q8_0 {
        bytes.round(workers, values);
    }
    product(workers, out, Input { values, bytes }, matrix);
}
