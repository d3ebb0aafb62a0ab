//! Causal attention within documents: rotary positions, grouped heads, blocks of query rows.
//!
//! No `[seq, seq]` matrix is stored: the forward pass keeps the scale of each row's softmax, and the backward pass
//! recomputes the weights of one block at a time (the idea of Dao et al. 2022, with blocks of rows). One task handles
//! one key head of one row of the batch, with all query heads that share it; tasks write disjoint columns.

#![expect(unsafe_code, reason = "heads of one row are written by different threads")]

use std::cell::Cell;
use std::ops::Range;

use super::gemm::{
    Form, Output, Packed, Right, TILE_COLUMNS, Target, View, aligned, packed_product, packed_product_into, product,
};
use super::rope::rotate_row;
use crate::cpu::simd::{LANES, dot, exp, fold_lanes, kernel, prefetch, sum_lanes};
use crate::cpu::thread_team;
use crate::ops::{AttentionContext, HeadLayout, RopeTable};

/// Query rows whose scores are computed at a time. Nothing is computed for keys after the last of them.
const BLOCK: usize = 32;
/// Query rows whose contributions to the gradients of keys and values are summed at a time, in registers.
const PAIR: usize = 2 * BLOCK;
/// Prefetch distance in rows while copying: the rows of one head lie far apart.
const AHEAD: usize = 8;

/// Output of [`attention`] and the state that [`attention_backward`] needs.
pub struct Attended {
    /// `[batch * seq, heads * head_dim]`.
    pub out: Vec<f32>,
    /// `[batch, heads, seq]`.
    pub scales: Vec<SoftmaxScale>,
}

/// Scale of one softmax row, whose weights are `e^(score - maximum) / sum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftmaxScale {
    maximum: f32,
    /// `1 / sum`.
    inverse: f32,
}

/// Computes attention for `qkv` `[batch * seq, width]`.
pub fn attention(qkv: &[f32], context: &AttentionContext) -> Attended {
    let layout = context.layout;
    let mut scales = vec![SoftmaxScale::default(); context.batch * layout.heads * context.seq];
    let scales_of_tasks = scales.chunks_mut(layout.group() * context.seq);
    let work = |task: Task, scales: &mut [SoftmaxScale], target: Target, workspace: &mut Workspace| {
        let inputs = Inputs::new(qkv, context, task);
        inputs.prepare(workspace);
        workspace.values.pack(inputs.form, inputs.values());
        for (head, scales) in task.query_heads(context).zip(scales.chunks_exact_mut(context.seq)) {
            let queries = inputs.rotated(&mut workspace.queries, head * layout.head_dim);
            for block in inputs.blocks(0..context.seq) {
                let (rows, columns, stride) = (block.rows(), block.columns(), block.stride());
                let scores = aligned(&mut workspace.scores, rows * stride);
                let (score, keys) = inputs.score(queries, &workspace.keys_across, block);
                let to_scores = Target::new(scores, stride);
                // SAFETY: `scores` is borrowed exclusively and has as many rows and at least as many columns.
                unsafe { packed_product_into(inputs.form, to_scores, score, keys, inputs.scale, Output::Overwrite) }
                let (scales, starts) = (&mut scales[block.range()], &inputs.starts[block.range()]);
                exponentials(scores, scales, starts, block);

                let mixed = aligned(&mut workspace.mixed, rows * layout.head_dim);
                let values = workspace.values.part(block.visible..block.last, 0..layout.head_dim);
                let weights = View::strided(scores, rows, columns, stride);
                packed_product(inputs.form, mixed, weights, values, 1.0, Output::Overwrite);
                scale_rows(mixed, scales);
                let place = target.offset(task.row * context.seq + block.first, head * layout.head_dim);
                // SAFETY: only this task writes these rows and the columns of this head.
                unsafe { HeadRows::new(place, layout.head_dim) }.write_all(mixed);
            }
        }
    };
    // SAFETY: together the tasks write every row and, over all query heads, every column.
    let out = unsafe { each_task(context, layout.query_width(), scales_of_tasks, work) };
    Attended { out, scales }
}

/// Gradient of [`attention`] with respect to `qkv` `[batch * seq, width]`, given the forward pass's results and the
/// gradient of its output.
pub fn attention_backward(
    qkv: &[f32],
    out: &[f32],
    scales: &[SoftmaxScale],
    upstream: &[f32],
    context: &AttentionContext,
) -> Vec<f32> {
    let layout = context.layout;
    let scales_of_tasks = scales.chunks(layout.group() * context.seq);
    let work = |task: Task, scales: &[SoftmaxScale], target: Target, workspace: &mut Workspace| {
        let inputs = Inputs::new(qkv, context, task);
        let place = target.offset(task.row * context.seq, 0);
        inputs.prepare(workspace);
        let len = context.seq * layout.head_dim;
        let keys = View::new(aligned(&mut workspace.keys, len), context.seq, layout.head_dim);
        workspace.keys_down.pack(inputs.form, keys);
        workspace.values.pack(inputs.form, inputs.values().transposed());
        aligned(&mut workspace.dkeys, len).fill(0.0);
        aligned(&mut workspace.dvalues, len).fill(0.0);
        for (head, scales) in task.query_heads(context).zip(scales.chunks_exact(context.seq)) {
            let [out, dout] = [out, upstream].map(|matrix| inputs.head_of(matrix, head));
            inputs.add_head(workspace, HeadOutput { out, dout, scales }, head);
            // SAFETY: only this task writes these rows and the columns of this query head.
            let out = unsafe { HeadRows::new(place.offset(0, head * layout.head_dim), layout.head_dim) };
            rotate_back(out, aligned(&mut workspace.dqueries, len), &context.rope);
        }
        let (dkeys, dvalues) = (aligned(&mut workspace.dkeys, len), aligned(&mut workspace.dvalues, len));
        // SAFETY: only this task writes these rows and the key columns of this head.
        let out = unsafe { HeadRows::new(place.offset(0, inputs.key_column()), layout.head_dim) };
        rotate_back(out, dkeys, &context.rope);
        // SAFETY: only this task writes these rows and the value columns of this head.
        unsafe { HeadRows::new(place.offset(0, inputs.value_column()), layout.head_dim) }.write_all(dvalues);
    };
    // SAFETY: together the tasks write every row and the columns of queries, keys and values, which are all columns.
    unsafe { each_task(context, layout.width(), scales_of_tasks, work) }
}

/// Runs `work` for each task, with its item of `items`, and returns the matrix `[batch * seq, width]` that the tasks
/// write.
///
/// # Safety
/// The tasks together must write all elements of the matrix.
unsafe fn each_task<T: Send>(
    context: &AttentionContext,
    width: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(Task, T, Target, &mut Workspace) + Sync,
) -> Vec<f32> {
    let len = context.batch * context.seq * width;
    let mut out = Vec::with_capacity(len);
    let target = Target::spare(&mut out, width);
    thread_team::each(tasks(context).into_iter().zip(items), |(task, item)| {
        let mut workspace = WORKSPACE.take();
        work(task, item, target, &mut workspace);
        WORKSPACE.set(workspace);
    });
    // SAFETY: the allocation has capacity for the matrix, and the caller promises that the tasks have written all of
    // it.
    unsafe { out.set_len(len) }
    out
}

thread_local! {
    static WORKSPACE: Cell<Workspace> = Cell::default();
}

/// Scratch memory of a task, kept by its thread.
#[derive(Default)]
struct Workspace {
    /// Rotated queries of one head, `[seq, head_dim]`.
    queries: Vec<f32>,
    keys: Vec<f32>,
    /// `keys`, packed for the backward pass.
    keys_down: Packed,
    /// `keys` transposed, packed.
    keys_across: Packed,
    /// Packed as they are in the forward pass, transposed in the backward pass.
    values: Packed,
    /// Scores of one block (forward) or two (backward).
    scores: Vec<f32>,
    dscores: Vec<f32>,
    /// `[BLOCK, head_dim]`.
    mixed: Vec<f32>,
    /// `[seq, head_dim]`; `dkeys` and `dvalues` are sums over the query heads that share a key head.
    dqueries: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
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

/// Query rows `first..last`, which together attend to keys `visible..last`.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    last: usize,
    visible: usize,
}

impl Block {
    fn range(self) -> Range<usize> {
        self.first..self.last
    }

    fn rows(self) -> usize {
        self.last - self.first
    }

    fn columns(self) -> usize {
        self.last - self.visible
    }

    /// Distance between rows of scores: whole vectors plus one cache line, because rows that are a power of two apart
    /// share the same few sets of the L1 cache.
    fn stride(self) -> usize {
        self.columns().next_multiple_of(LANES) + LANES
    }
}

/// Forward result of one query head and its gradient.
#[derive(Clone, Copy)]
struct HeadOutput<'a> {
    /// `[seq, head_dim]`.
    out: View<'a>,
    dout: View<'a>,
    scales: &'a [SoftmaxScale],
}

struct Inputs<'a> {
    /// Rows of the task's sequence, `[seq, width]`.
    rows: &'a [f32],
    starts: &'a [u32],
    context: &'a AttentionContext,
    task: Task,
    scale: f32,
    form: Form,
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
            form: Form::of(context.precision),
        }
    }

    fn key_column(&self) -> usize {
        self.context.layout.query_width() + self.task.key_head * self.context.layout.head_dim
    }

    fn value_column(&self) -> usize {
        self.key_column() + self.context.layout.key_width()
    }

    /// Rotates the keys and packs their transpose.
    fn prepare(&self, workspace: &mut Workspace) {
        let keys = self.rotated(&mut workspace.keys, self.key_column());
        workspace
            .keys_across
            .pack(self.form, View::new(keys, self.context.seq, self.context.layout.head_dim).transposed());
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

    /// One head of a matrix `[batch * seq, heads * head_dim]`.
    fn head_of<'m>(&self, matrix: &'m [f32], head: usize) -> View<'m> {
        let AttentionContext { seq, layout, .. } = *self.context;
        let first = self.task.row * seq * layout.query_width() + head * layout.head_dim;
        View::strided(&matrix[first..], seq, layout.head_dim, layout.query_width())
    }

    fn blocks(&self, rows: Range<usize>) -> impl Iterator<Item = Block> {
        rows.clone().step_by(BLOCK).map(move |first| self.block(first..rows.end.min(first + BLOCK)))
    }

    fn block(&self, rows: Range<usize>) -> Block {
        let visible = self.starts[rows.clone()].iter().min().map_or(rows.start, |start| *start as usize);
        // Parts of packed keys start at a panel.
        Block { first: rows.start, last: rows.end, visible: visible / TILE_COLUMNS * TILE_COLUMNS }
    }

    fn score<'m>(&self, queries: &'m [f32], keys: &'m Packed, block: Block) -> (View<'m>, Right<'m>) {
        let head_dim = self.context.layout.head_dim;
        let queries = View::new(&queries[block.first * head_dim..], block.rows(), head_dim);
        (queries, keys.part(0..head_dim, block.visible..block.last))
    }

    /// Adds one query head's contribution to the gradients of rotated keys and of values, and computes the gradient of
    /// its rotated queries.
    fn add_head(&self, workspace: &mut Workspace, given: HeadOutput<'_>, head: usize) {
        let AttentionContext { seq, layout: HeadLayout { head_dim, .. }, .. } = *self.context;
        let queries = self.rotated(&mut workspace.queries, head * head_dim);
        let len = seq * head_dim;
        let [dqueries, dkeys, dvalues] =
            [&mut workspace.dqueries, &mut workspace.dkeys, &mut workspace.dvalues].map(|memory| aligned(memory, len));
        for first in (0..seq).step_by(PAIR) {
            let pair = self.block(first..seq.min(first + PAIR));
            let (rows, columns) = (pair.rows(), pair.columns());
            let stride = pair.stride();
            let weights = aligned(&mut workspace.scores, rows * stride);
            let dscores = aligned(&mut workspace.dscores, rows * stride);
            for block in self.blocks(pair.range()).map(|block| Block { visible: pair.visible, ..block }) {
                let part = (block.first - pair.first) * stride..(block.last - pair.first) * stride;
                let (weights, dscores) = (&mut weights[part.clone()], &mut dscores[part]);
                let (queries, keys_across) = self.score(queries, &workspace.keys_across, block);
                let values = workspace.values.part(0..head_dim, block.visible..block.last);
                let dout = given.dout.part(block.range(), 0..head_dim);
                let [to_weights, to_dscores] = [&mut *weights, &mut *dscores].map(|out| Target::new(out, stride));
                // SAFETY: `weights` and `dscores` are borrowed exclusively and have as many rows and at least as many
                // columns.
                unsafe {
                    packed_product_into(self.form, to_weights, queries, keys_across, self.scale, Output::Overwrite);
                    packed_product_into(self.form, to_dscores, dout, values, 1.0, Output::Overwrite);
                }
                let out = given.out.part(block.range(), 0..head_dim);
                let scales = &given.scales[block.range()];
                softmax_backward(weights, dscores, out, dout, scales, &self.starts[block.range()], block);

                let dscores = View::strided(dscores, block.rows(), block.columns(), stride);
                let keys = workspace.keys_down.part(block.visible..block.last, 0..head_dim);
                let dqueries = &mut dqueries[block.first * head_dim..block.last * head_dim];
                packed_product(self.form, dqueries, dscores, keys, self.scale, Output::Overwrite);
            }
            let visible = pair.visible * head_dim..pair.last * head_dim;
            let dout = given.dout.part(pair.range(), 0..head_dim);
            let weights = View::strided(weights, rows, columns, stride).transposed();
            product(self.form, &mut dvalues[visible.clone()], weights, dout, 1.0, Output::Add);
            let queries = View::new(&queries[pair.first * head_dim..], rows, head_dim);
            let dscores = View::strided(dscores, rows, columns, stride).transposed();
            product(self.form, &mut dkeys[visible], dscores, queries, self.scale, Output::Add);
        }
    }
}

/// Rows of one head in the output matrix of a task.
struct HeadRows {
    place: Target,
    width: usize,
}

impl HeadRows {
    /// # Safety
    /// `width` elements of each row that is written must be valid for writes, and nothing else may use them meanwhile.
    unsafe fn new(place: Target, width: usize) -> Self {
        HeadRows { place, width }
    }

    #[inline(always)]
    fn write(&mut self, index: usize, row: &[f32]) {
        assert_eq!(row.len(), self.width, "a whole row");
        prefetch(self.place.at(index + AHEAD, 0), self.width);
        // SAFETY: the promise of `new`; `row` lies in another allocation.
        unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), self.place.at(index, 0), row.len()) }
    }

    fn write_all(mut self, rows: &[f32]) {
        for (index, row) in rows.chunks_exact(self.width).enumerate() {
            self.write(index, row);
        }
    }
}

kernel! {
    /// Copies the rows of one head, rotated by their positions.
    fn rotate<'a>(out: &'a mut [f32], rows: &'a [f32], stride: usize, rope: &'a RopeTable) -> () {
        for (position, out) in out.chunks_exact_mut(2 * rope.half).enumerate() {
            let row = &rows[position * stride..][..2 * rope.half];
            prefetch(row.as_ptr().wrapping_add(AHEAD * stride), row.len());
            out.copy_from_slice(row);
            rotate_row::<false>(out, rope.at(position));
        }
    }
}

kernel! {
    /// Writes the inverse (and so the transpose) of [`rotate`] to `out`.
    fn rotate_back<'a>(out: HeadRows, rows: &'a mut [f32], rope: &'a RopeTable) -> () {
        let mut out = out;
        for (position, row) in rows.chunks_exact_mut(2 * rope.half).enumerate() {
            rotate_row::<true>(row, rope.at(position));
            out.write(position, row);
        }
    }
}

kernel! {
    /// Turns scores into `e^(score - maximum)`. Row `i` is query `block.first + i`, column `j` is key
    /// `block.visible + j`. Columns before the query's document or after the query become 0.
    fn exponentials<'a>(
        scores: &'a mut [f32],
        scales: &'a mut [SoftmaxScale],
        starts: &'a [u32],
        block: Block,
    ) -> () {
        let rows = scores.chunks_exact_mut(block.stride()).zip(scales).zip(starts);
        for (index, ((row, scale), start)) in rows.enumerate() {
            let visible = visible_columns(*start, block, index);
            let blocks = visible_vectors(row, &visible);
            mask(blocks, &visible, f32::NEG_INFINITY);
            // Four independent chains, because each maximum waits for the previous one.
            let mut lanes = [[f32::NEG_INFINITY; LANES]; 4];
            let (fours, rest) = blocks.as_chunks::<4>();
            for four in fours {
                for (lanes, block) in lanes.iter_mut().zip(four) {
                    *lanes = maxima(*lanes, *block);
                }
            }
            for (lanes, block) in lanes.iter_mut().zip(rest) {
                *lanes = maxima(*lanes, *block);
            }
            let [a, b, c, d] = lanes;
            let maximum = fold_lanes(maxima(maxima(a, b), maxima(c, d)), |x, y| if y > x { y } else { x });

            // A masked column adds at most e^-87, which vanishes beside the maximum's 1.
            let mut sums = [0.0f32; LANES];
            for block in &mut *blocks {
                for lane in 0..LANES {
                    block[lane] = exp(block[lane] - maximum);
                    sums[lane] += block[lane];
                }
            }
            mask(blocks, &visible, 0.0);
            *scale = SoftmaxScale { maximum, inverse: 1.0 / sum_lanes(sums) };
        }
    }
}

/// The vectors of a row that overlap the `visible` columns; sets all other vectors to 0.
#[inline(always)]
fn visible_vectors<'m>(row: &'m mut [f32], visible: &Range<usize>) -> &'m mut [[f32; LANES]] {
    let (before, rest) = row.as_chunks_mut::<LANES>().0.split_at_mut(visible.start / LANES);
    let (overlapping, after) = rest.split_at_mut(visible.end.div_ceil(LANES) - visible.start / LANES);
    for block in before.iter_mut().chain(after) {
        *block = [0.0; LANES];
    }
    overlapping
}

/// Replaces the columns outside `visible` in the first and the last of the vectors that [`visible_vectors`] returns.
#[inline(always)]
fn mask(blocks: &mut [[f32; LANES]], visible: &Range<usize>, value: f32) {
    let last = (visible.end - 1) % LANES;
    if let Some(block) = blocks.last_mut() {
        for (lane, element) in block.iter_mut().enumerate() {
            *element = if lane <= last { *element } else { value };
        }
    }
    let first = visible.start % LANES;
    if let Some(block) = blocks.first_mut() {
        for (lane, element) in block.iter_mut().enumerate() {
            *element = if lane >= first { *element } else { value };
        }
    }
}

/// Columns of a block that one of its rows attends to.
#[inline(always)]
fn visible_columns(start: u32, block: Block, row: usize) -> Range<usize> {
    start as usize - block.visible..block.first + row + 1 - block.visible
}

#[inline(always)]
fn maxima(mut a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
    for lane in 0..LANES {
        a[lane] = if b[lane] > a[lane] { b[lane] } else { a[lane] };
    }
    a
}

kernel! {
    /// Divides mixed values by the sum of their unnormalised weights.
    fn scale_rows<'a>(mixed: &'a mut [f32], scales: &'a [SoftmaxScale]) -> () {
        let width = mixed.len() / scales.len();
        for (row, scale) in mixed.chunks_exact_mut(width).zip(scales) {
            for value in row.iter_mut() {
                *value *= scale.inverse;
            }
        }
    }
}

kernel! {
    /// Turns scores into weights `p`, and gradients `g` of weights into gradients of scores: `p (g - sum(p g))`. The
    /// sum equals the dot product of the output's row and its gradient (`D` in FlashAttention, Dao et al. 2022). Rows
    /// may be longer than the block has columns.
    fn softmax_backward<'a>(
        scores: &'a mut [f32],
        gradients: &'a mut [f32],
        out: View<'a>,
        dout: View<'a>,
        scales: &'a [SoftmaxScale],
        starts: &'a [u32],
        block: Block,
    ) -> () {
        let stride = scores.len() / block.rows();
        let rows = scores.chunks_exact_mut(stride).zip(gradients.chunks_exact_mut(stride));
        for (index, (((row, gradients), start), scale)) in rows.zip(starts).zip(scales).enumerate() {
            let row_dot = dot(out.row(index, 0, out.columns()), dout.row(index, 0, out.columns()));
            let visible = visible_columns(*start, block, index);
            let (blocks, gradients) = (visible_vectors(row, &visible), visible_vectors(gradients, &visible));
            for (scores, gradients) in blocks.iter_mut().zip(&mut *gradients) {
                softmax_gradients(scores, gradients, *scale, row_dot);
            }
            mask(blocks, &visible, 0.0);
            mask(gradients, &visible, 0.0);
        }
    }
}

#[inline(always)]
fn softmax_gradients(scores: &mut [f32; LANES], gradients: &mut [f32; LANES], scale: SoftmaxScale, row_dot: f32) {
    for lane in 0..LANES {
        let weight = exp(scores[lane] - scale.maximum) * scale.inverse;
        scores[lane] = weight;
        gradients[lane] = weight * (gradients[lane] - row_dot);
    }
}
