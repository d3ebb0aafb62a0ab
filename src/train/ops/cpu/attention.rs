//! Causal attention within documents: rotary positions, grouped heads, blocks of query rows.
//!
//! The backward pass recomputes the weights of one block at a time, so that no `[seq, seq]` matrix
//! is ever stored (the idea of Dao et al. 2022, in blocks of rows). One task is one key head of one
//! row of the batch, with all query heads that share it; tasks write disjoint columns.

use std::cell::Cell;

use rayon::prelude::*;

use super::gemm::{Output, Packed, TILE_COLUMNS, Target, View, aligned, packed_product, packed_product_into, product};
use crate::train::ops::simd::{LANES, dot, exp, kernel, sum_lanes};
use crate::train::ops::{AttentionContext, RopeTable};

/// Query rows whose scores exist at a time.
const BLOCK: usize = 64;

/// Output `[batch * seq, heads * head_dim]` for `qkv` `[batch * seq, width]`.
pub fn attention(qkv: &[f32], context: &AttentionContext) -> Vec<f32> {
    let layout = context.layout;
    let work = |task: Task, target: Target, room: &mut Room| {
        let inputs = Inputs::new(qkv, context, task);
        inputs.prepare(room);
        room.values.pack(inputs.values());
        for head in task.query_heads(context) {
            let queries = inputs.rotated(&mut room.queries, head * layout.head_dim);
            for block in inputs.blocks() {
                let weights = inputs.weights(queries, &room.keys_across, block, &mut room.scores);
                let values = room.values.operand().part(block.visible..block.last, 0..layout.head_dim);
                let place = target.offset(task.row * context.seq + block.first, head * layout.head_dim);
                // SAFETY: these rows and the columns of this head are written by this task only.
                unsafe { packed_product_into(place, weights, values, 1.0, Output::Overwrite) }
            }
        }
    };
    // SAFETY: tasks write each row and, of all query heads together, each column.
    unsafe { each_task(context, layout.query_width(), work) }
}

/// Gradient of [`attention`] for `qkv`, given that of its output.
pub fn attention_backward(qkv: &[f32], upstream: &[f32], context: &AttentionContext) -> Vec<f32> {
    let layout = context.layout;
    let work = |task: Task, target: Target, room: &mut Room| {
        let inputs = Inputs::new(qkv, context, task);
        let place = target.offset(task.row * context.seq, 0);
        inputs.prepare(room);
        room.values.pack(inputs.values().transposed());
        let len = context.seq * layout.head_dim;
        aligned(&mut room.dkeys, len).fill(0.0);
        aligned(&mut room.dvalues, len).fill(0.0);
        for head in task.query_heads(context) {
            inputs.add_head(room, upstream, head);
            let dqueries = aligned(&mut room.dqueries, len);
            // SAFETY: these rows and the columns of this query head are written by this task only.
            unsafe { rotate_back(place.offset(0, head * layout.head_dim), dqueries, &mut room.turned, context) }
        }
        let (dkeys, dvalues) = (aligned(&mut room.dkeys, len), aligned(&mut room.dvalues, len));
        // SAFETY: these rows and the key columns of this head are written by this task only.
        unsafe { rotate_back(place.offset(0, inputs.key_column()), dkeys, &mut room.turned, context) }
        // SAFETY: these rows and the value columns of this head are written by this task only.
        unsafe { copy_rows(place.offset(0, inputs.value_column()), dvalues, layout.head_dim) }
    };
    // SAFETY: tasks write each row and the columns of queries, keys and values, which are all.
    unsafe { each_task(context, layout.width(), work) }
}

/// A matrix of all rows and `width` columns that tasks write.
///
/// # Safety
/// All tasks together write all of its elements.
unsafe fn each_task(
    context: &AttentionContext,
    width: usize,
    work: impl Fn(Task, Target, &mut Room) + Sync,
) -> Vec<f32> {
    let len = context.batch * context.seq * width;
    let mut out = Vec::with_capacity(len);
    let target = Target::spare(&mut out, width);
    tasks(context).into_par_iter().for_each(|task| {
        let mut room = ROOM.take();
        work(task, target, &mut room);
        ROOM.set(room);
    });
    // SAFETY: the allocation has room for the matrix, and the caller promises that the tasks have written it.
    unsafe { out.set_len(len) }
    out
}

thread_local! {
    static ROOM: Cell<Room> = Cell::default();
}

/// Memory of a task, which its thread keeps.
#[derive(Default)]
struct Room {
    /// Rotated, `[seq, head_dim]`.
    queries: Vec<f32>,
    keys: Vec<f32>,
    /// `keys` transposed.
    keys_across: Packed,
    /// As they are in the forward pass, transposed in the backward pass.
    values: Packed,
    /// Of one block.
    scores: Vec<f32>,
    dscores: Vec<f32>,
    /// `[seq, head_dim]`; the last two are sums over the query heads that share a key head.
    dqueries: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
    turned: Vec<f32>,
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

    /// The rotated keys, and their transpose.
    fn prepare(&self, room: &mut Room) {
        let keys = self.rotated(&mut room.keys, self.key_column());
        room.keys_across.pack(View::new(keys, self.context.seq, self.context.layout.head_dim).transposed());
    }

    /// One head with rotary positions applied, `[seq, head_dim]`.
    fn rotated<'m>(&self, memory: &'m mut Vec<f32>, column: usize) -> &'m [f32] {
        let AttentionContext { seq, layout, .. } = *self.context;
        let out = aligned(memory, seq * layout.head_dim);
        rotate(out, &self.rows[column..], layout.width(), &self.context.rope);
        out
    }

    /// `[seq, head_dim]`.
    fn values(&self) -> View<'a> {
        let layout = self.context.layout;
        View::strided(&self.rows[self.value_column()..], self.context.seq, layout.head_dim, layout.width())
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let seq = self.context.seq;
        (0..seq).step_by(BLOCK).map(move |first| {
            let last = (first + BLOCK).min(seq);
            let visible = self.starts[first..last].iter().min().map_or(first, |start| *start as usize);
            // Packed keys begin with a panel.
            Block { first, last, visible: visible / TILE_COLUMNS * TILE_COLUMNS }
        })
    }

    /// Attention weights of a block, `[rows, columns]`, computed in `scores`.
    fn weights<'m>(&self, queries: &[f32], keys: &Packed, block: Block, scores: &'m mut Vec<f32>) -> View<'m> {
        let head_dim = self.context.layout.head_dim;
        let scores = aligned(scores, block.rows() * block.columns());
        let q = View::new(&queries[block.first * head_dim..], block.rows(), head_dim);
        let k = keys.operand().part(0..head_dim, block.visible..block.last);
        packed_product(scores, q, k, self.scale, Output::Overwrite);
        softmax(scores, &self.starts[block.first..block.last], block.first, block.visible);
        View::new(scores, block.rows(), block.columns())
    }

    /// Adds the part of one query head to the gradients of rotated keys and of values, and computes that of its rotated
    /// queries.
    fn add_head(&self, room: &mut Room, upstream: &[f32], head: usize) {
        let AttentionContext { seq, layout, .. } = *self.context;
        let (head_dim, width) = (layout.head_dim, layout.query_width());
        let queries = self.rotated(&mut room.queries, head * head_dim);
        let len = seq * head_dim;
        let [keys, dqueries, dkeys, dvalues] =
            [&mut room.keys, &mut room.dqueries, &mut room.dkeys, &mut room.dvalues].map(|memory| aligned(memory, len));
        for block in self.blocks() {
            let (rows, columns) = (block.rows(), block.columns());
            let start = (self.task.row * seq + block.first) * width + head * head_dim;
            let dout = View::strided(&upstream[start..], rows, head_dim, width);
            let visible = block.visible * head_dim..block.last * head_dim;
            let own = block.first * head_dim..block.last * head_dim;

            let weights = self.weights(queries, &room.keys_across, block, &mut room.scores);
            product(&mut dvalues[visible.clone()], weights.transposed(), dout, 1.0, Output::Add);

            let dscores = aligned(&mut room.dscores, rows * columns);
            let values = room.values.operand().part(0..head_dim, block.visible..block.last);
            packed_product(dscores, dout, values, 1.0, Output::Overwrite);
            softmax_backward(dscores, weights.data(), columns);
            let dscores = View::new(dscores, rows, columns);

            let k = View::new(&keys[visible.clone()], columns, head_dim);
            product(&mut dqueries[own.clone()], dscores, k, self.scale, Output::Overwrite);
            let q = View::new(&queries[own], rows, head_dim);
            product(&mut dkeys[visible], dscores.transposed(), q, self.scale, Output::Add);
        }
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
unsafe fn rotate_back(place: Target, gradient: &[f32], turned: &mut Vec<f32>, context: &AttentionContext) {
    let turned = aligned(turned, gradient.len());
    rotate_inverse(turned, gradient, &context.rope);
    // SAFETY: the caller's promise.
    unsafe { copy_rows(place, turned, context.layout.head_dim) }
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
        for (position, out) in out.chunks_exact_mut(2 * rope.half).enumerate() {
            rotate_row::<false>(out, &rows[position * stride..][..2 * rope.half], rope.at(position));
        }
    }
}

kernel! {
    /// The inverse, and so the transpose, of [`rotate`].
    fn rotate_inverse<'a>(out: &'a mut [f32], rows: &'a [f32], rope: &'a RopeTable) -> () {
        let width = 2 * rope.half;
        for (position, (out, row)) in out.chunks_exact_mut(width).zip(rows.chunks_exact(width)).enumerate() {
            rotate_row::<true>(out, row, rope.at(position));
        }
    }
}

/// In blocks that are read before they are written: for six slices at a time the compiler gives up otherwise.
#[inline(always)]
fn rotate_row<const BACK: bool>(out: &mut [f32], row: &[f32], (cos, sin): (&[f32], &[f32])) {
    let (first, second) = row.split_at(cos.len());
    let (out_first, out_second) = out.split_at_mut(cos.len());
    let ((firsts, first_rest), (seconds, second_rest)) = (first.as_chunks(), second.as_chunks());
    let ((coss, cos_rest), (sins, sin_rest)) = (cos.as_chunks::<LANES>(), sin.as_chunks());
    let (out_firsts, out_first_rest) = out_first.as_chunks_mut();
    let (out_seconds, out_second_rest) = out_second.as_chunks_mut();
    for (block, cos) in coss.iter().enumerate() {
        (out_firsts[block], out_seconds[block]) =
            rotate_pairs::<LANES, BACK>(&firsts[block], &seconds[block], cos, &sins[block]);
    }
    for (i, cos) in cos_rest.iter().enumerate() {
        let turned = rotate_pairs::<1, BACK>(&[first_rest[i]], &[second_rest[i]], &[*cos], &[sin_rest[i]]);
        ([out_first_rest[i]], [out_second_rest[i]]) = turned;
    }
}

#[inline(always)]
fn rotate_pairs<const N: usize, const BACK: bool>(
    first: &[f32; N],
    second: &[f32; N],
    cos: &[f32; N],
    sin: &[f32; N],
) -> ([f32; N], [f32; N]) {
    let (mut x, mut y) = ([0.0; N], [0.0; N]);
    for j in 0..N {
        let sin = if BACK { -sin[j] } else { sin[j] };
        x[j] = first[j].mul_add(cos[j], -(second[j] * sin));
        y[j] = second[j].mul_add(cos[j], first[j] * sin);
    }
    (x, y)
}

kernel! {
    fn softmax_rows<'a>(scores: &'a mut [f32], starts: &'a [u32], columns: usize, diagonal: usize, visible: usize) -> () {
        for (index, (row, start)) in scores.chunks_exact_mut(columns).zip(starts).enumerate() {
            let (before, rest) = row.split_at_mut(*start as usize - visible);
            let (seen, after) = rest.split_at_mut(diagonal + index + 1 - before.len());
            before.fill(0.0);
            after.fill(0.0);

            let (blocks, tail) = seen.as_chunks_mut::<LANES>();
            let last = &mut [f32::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            let mut lanes = *last;
            for block in blocks.iter() {
                lanes = maxima(lanes, *block);
            }
            let mut maximum = f32::NEG_INFINITY;
            for value in lanes {
                maximum = if value > maximum { value } else { maximum };
            }

            let mut sums = [0.0f32; LANES];
            for block in blocks {
                for lane in 0..LANES {
                    block[lane] = exp(block[lane] - maximum);
                    sums[lane] += block[lane];
                }
            }
            // As a whole block: one by one they would take as long as the rest of the row.
            for lane in 0..LANES {
                let value = exp(last[lane] - maximum);
                last[lane] = if lane < tail.len() { value } else { 0.0 };
                sums[lane] += last[lane];
            }
            tail.copy_from_slice(&last[..tail.len()]);
            let inverse = 1.0 / sum_lanes(sums);
            for value in seen.iter_mut() {
                *value *= inverse;
            }
        }
    }
}

#[inline(always)]
fn maxima(mut a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
    for lane in 0..LANES {
        a[lane] = if b[lane] > a[lane] { b[lane] } else { a[lane] };
    }
    a
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
