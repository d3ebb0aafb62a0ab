//! Causal attention within documents: rotary positions, grouped heads, blocks of query rows.
//!
//! The backward pass recomputes the weights of one block at a time, so that no `[seq, seq]` matrix
//! is ever stored (the idea of Dao et al. 2022, in blocks of rows). One task is one key head of one
//! row of the batch, with all query heads that share it; tasks write disjoint columns.

use rayon::prelude::*;

use super::gemm::{Output, Target, View, product, product_into};
use crate::train::ops::simd::{LANES, dot, exp, kernel, sum_lanes};
use crate::train::ops::{AttentionContext, RopeTable};

/// Query rows whose scores exist at a time.
const BLOCK: usize = 64;

/// Output `[batch * seq, heads * head_dim]` for `qkv` `[batch * seq, width]`.
pub fn attention(qkv: &[f32], context: &AttentionContext) -> Vec<f32> {
    let layout = context.layout;
    let mut out = vec![0.0; context.batch * context.seq * layout.query_width()];
    let target = Target::new(&mut out, layout.query_width());
    tasks(context).into_par_iter().for_each(|task| {
        let inputs = Inputs::new(qkv, context, task);
        let keys = inputs.rotated(inputs.key_column());
        let mut scores = vec![0.0; BLOCK.min(context.seq) * context.seq];
        for head in task.query_heads(context) {
            let queries = inputs.rotated(head * layout.head_dim);
            for block in inputs.blocks() {
                let weights = inputs.weights(&queries, &keys, block, &mut scores);
                let place = target.offset(task.row * context.seq + block.first, head * layout.head_dim);
                // SAFETY: these rows and the columns of this head are written by this task only.
                unsafe { product_into(place, weights, inputs.values(block), 1.0, Output::Overwrite) }
            }
        }
    });
    out
}

/// Gradient of [`attention`] for `qkv`, given that of its output.
pub fn attention_backward(qkv: &[f32], upstream: &[f32], context: &AttentionContext) -> Vec<f32> {
    let layout = context.layout;
    let mut out = vec![0.0; qkv.len()];
    let target = Target::new(&mut out, layout.width());
    tasks(context).into_par_iter().for_each(|task| {
        let inputs = Inputs::new(qkv, context, task);
        let place = target.offset(task.row * context.seq, 0);
        let mut gradient = KeyValueGradient::new(context);
        for head in task.query_heads(context) {
            let dqueries = gradient.add_head(&inputs, upstream, head);
            // SAFETY: these rows and the columns of this query head are written by this task only.
            unsafe { rotate_back(place.offset(0, head * layout.head_dim), &dqueries, context) }
        }
        // SAFETY: these rows and the key columns of this head are written by this task only.
        unsafe { rotate_back(place.offset(0, inputs.key_column()), &gradient.keys, context) }
        // SAFETY: these rows and the value columns of this head are written by this task only.
        unsafe { copy_rows(place.offset(0, inputs.value_column()), &gradient.values, layout.head_dim) }
    });
    out
}

/// One key head of one row of the batch.
#[derive(Clone, Copy)]
struct Task {
    row: usize,
    key_head: usize,
}

impl Task {
    fn query_heads(self, context: &AttentionContext) -> std::ops::Range<usize> {
        let group = context.layout.group();
        self.key_head * group..(self.key_head + 1) * group
    }
}

fn tasks(context: &AttentionContext) -> Vec<Task> {
    let heads = context.layout.kv_heads;
    (0..context.batch * heads).map(|task| Task { row: task / heads, key_head: task % heads }).collect()
}

/// Query rows `first..last`, which together look at keys `visible..last`.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    last: usize,
    visible: usize,
}

impl Block {
    fn rows(self) -> usize {
        self.last - self.first
    }

    fn columns(self) -> usize {
        self.last - self.visible
    }
}

/// What a task reads.
struct Inputs<'a> {
    /// The rows of the task's sequence.
    rows: &'a [f32],
    /// Document starts of the sequence.
    starts: &'a [u32],
    context: &'a AttentionContext,
    task: Task,
    scale: f32,
}

impl<'a> Inputs<'a> {
    fn new(qkv: &'a [f32], context: &'a AttentionContext, task: Task) -> Self {
        let AttentionContext { seq, layout, .. } = *context;
        Inputs {
            rows: &qkv[task.row * seq * layout.width()..(task.row + 1) * seq * layout.width()],
            starts: &context.starts[task.row * seq..(task.row + 1) * seq],
            context,
            task,
            scale: 1.0 / (layout.head_dim as f32).sqrt(),
        }
    }

    fn key_column(&self) -> usize {
        self.context.layout.query_width() + self.task.key_head * self.context.layout.head_dim
    }

    fn value_column(&self) -> usize {
        self.key_column() + self.context.layout.key_width()
    }

    /// One head with rotary positions applied, `[seq, head_dim]`.
    fn rotated(&self, column: usize) -> Vec<f32> {
        let AttentionContext { seq, layout, .. } = *self.context;
        let mut out = vec![0.0; seq * layout.head_dim];
        rotate(&mut out, &self.rows[column..], layout.width(), &self.context.rope);
        out
    }

    /// Values that a block looks at, `[columns, head_dim]`.
    fn values(&self, block: Block) -> View<'a> {
        let layout = self.context.layout;
        let start = block.visible * layout.width() + self.value_column();
        View::strided(&self.rows[start..], block.columns(), layout.head_dim, layout.width())
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let seq = self.context.seq;
        (0..seq).step_by(BLOCK).map(move |first| {
            let last = (first + BLOCK).min(seq);
            let visible = self.starts[first..last].iter().min().map_or(first, |start| *start as usize);
            Block { first, last, visible }
        })
    }

    /// Attention weights of a block, `[rows, columns]`, computed in `scores`.
    fn weights<'s>(&self, queries: &[f32], keys: &[f32], block: Block, scores: &'s mut [f32]) -> View<'s> {
        let head_dim = self.context.layout.head_dim;
        let scores = &mut scores[..block.rows() * block.columns()];
        let q = View::new(&queries[block.first * head_dim..], block.rows(), head_dim);
        let k = View::new(&keys[block.visible * head_dim..], block.columns(), head_dim);
        product(scores, q, k.transposed(), self.scale, Output::Overwrite);
        softmax(scores, &self.starts[block.first..block.last], block.first, block.visible);
        View::new(scores, block.rows(), block.columns())
    }
}

/// Gradients of one key head, summed over the query heads that share it.
struct KeyValueGradient {
    /// Of the rotated keys, `[seq, head_dim]`.
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    dscores: Vec<f32>,
}

impl KeyValueGradient {
    fn new(context: &AttentionContext) -> Self {
        let len = context.seq * context.layout.head_dim;
        let block = BLOCK.min(context.seq) * context.seq;
        KeyValueGradient {
            keys: vec![0.0; len],
            values: vec![0.0; len],
            scores: vec![0.0; block],
            dscores: vec![0.0; block],
        }
    }

    /// Adds the part of one query head and gives the gradient of its rotated queries.
    fn add_head(&mut self, inputs: &Inputs<'_>, upstream: &[f32], head: usize) -> Vec<f32> {
        let AttentionContext { seq, layout, .. } = *inputs.context;
        let (head_dim, width) = (layout.head_dim, layout.query_width());
        let queries = inputs.rotated(head * head_dim);
        let keys = inputs.rotated(inputs.key_column());
        let mut dqueries = vec![0.0; seq * head_dim];
        for block in inputs.blocks() {
            let (rows, columns) = (block.rows(), block.columns());
            let start = (inputs.task.row * seq + block.first) * width + head * head_dim;
            let dout = View::strided(&upstream[start..], rows, head_dim, width);
            let visible = block.visible * head_dim..block.last * head_dim;
            let own = block.first * head_dim..block.last * head_dim;

            let weights = inputs.weights(&queries, &keys, block, &mut self.scores);
            product(&mut self.values[visible.clone()], weights.transposed(), dout, 1.0, Output::Add);

            let dscores = &mut self.dscores[..rows * columns];
            product(dscores, dout, inputs.values(block).transposed(), 1.0, Output::Overwrite);
            softmax_backward(dscores, &self.scores[..rows * columns], columns);
            let dscores = View::new(dscores, rows, columns);

            let k = View::new(&keys[visible.clone()], columns, head_dim);
            product(&mut dqueries[own.clone()], dscores, k, inputs.scale, Output::Overwrite);
            let q = View::new(&queries[own], rows, head_dim);
            product(&mut self.keys[visible], dscores.transposed(), q, inputs.scale, Output::Add);
        }
        dqueries
    }
}

/// Turns rows of `columns` scores into weights: row `i` is query `first + i`, column `j` is key
/// `visible + j`, and what lies before the query's document or after the query gets weight 0.
fn softmax(scores: &mut [f32], starts: &[u32], first: usize, visible: usize) {
    let columns = scores.len() / starts.len();
    softmax_rows(scores, starts, columns, first - visible, visible);
}

/// Writes a gradient of rotated vectors, turned back, to rows of a matrix.
///
/// # Safety
/// `[seq, head_dim]` elements at `place` are valid for writes and used by no one else meanwhile.
unsafe fn rotate_back(place: Target, gradient: &[f32], context: &AttentionContext) {
    let head_dim = context.layout.head_dim;
    let mut turned = vec![0.0; gradient.len()];
    rotate_inverse(&mut turned, gradient, &context.rope);
    // SAFETY: the caller's promise.
    unsafe { copy_rows(place, &turned, head_dim) }
}

/// Copies rows of `width` elements to rows of a matrix.
///
/// # Safety
/// As many rows of `width` elements at `place` are valid for writes and used by no one else meanwhile.
unsafe fn copy_rows(place: Target, rows: &[f32], width: usize) {
    for (index, row) in rows.chunks_exact(width).enumerate() {
        // SAFETY: the caller's promise; `row` lies in another allocation.
        unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), place.at(index, 0), width) }
    }
}

kernel! {
    /// Pair `j` is elements `j` and `j + half`: `(x, y)` becomes `(x cos - y sin, y cos + x sin)`.
    fn rotate<'a>(out: &'a mut [f32], rows: &'a [f32], stride: usize, rope: &'a RopeTable) -> () {
        let half = rope.half;
        for (position, out) in out.chunks_exact_mut(2 * half).enumerate() {
            let (first, second) = rows[position * stride..][..2 * half].split_at(half);
            let (out_first, out_second) = out.split_at_mut(half);
            let (cos, sin) = rope.at(position);
            for j in 0..half {
                out_first[j] = first[j].mul_add(cos[j], -(second[j] * sin[j]));
                out_second[j] = second[j].mul_add(cos[j], first[j] * sin[j]);
            }
        }
    }
}

kernel! {
    /// The inverse, and so the transpose, of [`rotate`].
    fn rotate_inverse<'a>(out: &'a mut [f32], rows: &'a [f32], rope: &'a RopeTable) -> () {
        let half = rope.half;
        for (position, (out, row)) in out.chunks_exact_mut(2 * half).zip(rows.chunks_exact(2 * half)).enumerate() {
            let (first, second) = row.split_at(half);
            let (out_first, out_second) = out.split_at_mut(half);
            let (cos, sin) = rope.at(position);
            for j in 0..half {
                out_first[j] = first[j].mul_add(cos[j], second[j] * sin[j]);
                out_second[j] = second[j].mul_add(cos[j], -(first[j] * sin[j]));
            }
        }
    }
}

kernel! {
    fn softmax_rows<'a>(scores: &'a mut [f32], starts: &'a [u32], columns: usize, diagonal: usize, visible: usize) -> () {
        for (index, (row, start)) in scores.chunks_exact_mut(columns).zip(starts).enumerate() {
            let (before, rest) = row.split_at_mut(*start as usize - visible);
            let (seen, after) = rest.split_at_mut(diagonal + index + 1 - before.len());
            before.fill(0.0);
            after.fill(0.0);

            let (blocks, tail) = seen.as_chunks::<LANES>();
            let mut lanes = [f32::NEG_INFINITY; LANES];
            for block in blocks {
                for lane in 0..LANES {
                    lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
                }
            }
            let mut maximum = f32::NEG_INFINITY;
            for value in lanes.iter().chain(tail) {
                maximum = if *value > maximum { *value } else { maximum };
            }

            let (blocks, tail) = seen.as_chunks_mut::<LANES>();
            let mut sums = [0.0f32; LANES];
            for block in blocks {
                for lane in 0..LANES {
                    block[lane] = exp(block[lane] - maximum);
                    sums[lane] += block[lane];
                }
            }
            for (lane, value) in tail.iter_mut().enumerate() {
                *value = exp(*value - maximum);
                sums[lane] += *value;
            }
            let inverse = 1.0 / sum_lanes(sums);
            for value in seen.iter_mut() {
                *value *= inverse;
            }
        }
    }
}

kernel! {
    /// Turns gradients of weights into gradients of scores: `p (g - sum(p g))` for each row.
    fn softmax_backward<'a>(gradients: &'a mut [f32], weights: &'a [f32], columns: usize) -> () {
        for (gradients, weights) in gradients.chunks_exact_mut(columns).zip(weights.chunks_exact(columns)) {
            let mean = dot(weights, gradients);
            for (gradient, weight) in gradients.iter_mut().zip(weights) {
                *gradient = weight * (*gradient - mean);
            }
        }
    }
}
