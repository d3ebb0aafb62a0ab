//! Attention over a paged cache of keys and values.
//!
//! A block holds the keys and values of 32 neighbouring tokens in the layout of a panel, so scores and means are products
//! with panels. Positions are summed in ascending order whatever the block, the piece of the prompt or the company.

#![expect(unsafe_code, reason = "reads blocks of a pool that threads share")]

use std::cell::RefCell;
use std::ops::Range;

use super::matrix::PANEL;
use super::paged::{BLOCK_TOKENS, CacheForm, HeadLayout, KeysAndValues};
use super::product::Shared;
use super::rows::{Activations, Line, flat_mut};
use super::tile::{Start, Strip};
use super::workers::Workers;
use crate::cpu::{LANES, exp, kernel, sum_lanes};

/// Rows, one per token and query head, that one task attends for.
const TASK_ROWS: usize = 24;

/// Tokens of one sequence that one call computes together.
pub struct Piece<'a> {
    /// Their rows.
    pub rows: Range<usize>,
    /// Position of the first one.
    pub first: usize,
    pub memory: KeysAndValues<'a>,
}

/// For each token of each piece and each query head: the mean of the values up to its position (the last `window` ones,
/// if given), weighted by the softmax of the scaled products of their keys with the query.
///
/// `queries` holds the rotated queries `[heads, head_dim]` of a token per row; `out` gets the same shape.
///
/// # Safety
/// The blocks of all pieces lie in a live pool; they hold the keys and values up to the last position of the piece, and
/// nothing writes them during the call.
pub unsafe fn attend(
    workers: &Workers,
    out: &mut Activations,
    queries: &Activations,
    pieces: &[Piece<'_>],
    window: Option<usize>,
    layout: HeadLayout,
) {
    out.reshape(queries.rows(), layout.query_width());
    let stride = out.stride();
    let out = Shared(out.as_mut_ptr());
    let step = (TASK_ROWS / layout.group()).max(1);
    let tasks = pieces.iter().flat_map(|piece| {
        let tokens = piece.rows.len();
        (0..tokens).step_by(step).flat_map(move |token| (0..layout.kv_heads).map(move |head| (piece, token, head)))
    });
    let tasks: Vec<_> = tasks.collect();
    workers.team().each(tasks, |(piece, token, head)| {
        let end = piece.rows.len().min(token + step);
        let task = Task { workers, piece, tokens: token..end, head, window, layout };
        // SAFETY: the caller's promise; `out` has a row per row of the queries, and no other task writes this head of
        // these tokens.
        unsafe { task.run(queries, out.address(), stride) }
    });
}

/// Some tokens of a piece, and the query heads that share one head of keys and values.
struct Task<'a> {
    workers: &'a Workers,
    piece: &'a Piece<'a>,
    tokens: Range<usize>,
    head: usize,
    window: Option<usize>,
    layout: HeadLayout,
}

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

impl Task<'_> {
    /// # Safety
    /// Same contract as [`attend`]; nothing else uses this head of these rows of `out`.
    unsafe fn run(&self, queries: &Activations, out: *mut f32, stride: usize) {
        let HeadLayout { head_dim, .. } = self.layout;
        let memory = self.piece.memory;
        let (group, padded) = (self.layout.group(), self.layout.padded());
        let rows = self.tokens.len() * group;
        let first = self.piece.first + self.tokens.start;
        let last = self.piece.first + self.tokens.end - 1;
        let blocks = self.start(first) / BLOCK_TOKENS..last / BLOCK_TOKENS + 1;
        let origin = blocks.start * BLOCK_TOKENS;
        // An odd number of lines, as in `Activations`.
        let width = ((blocks.len() * BLOCK_TOKENS / LANES) | 1) * LANES;
        let dim = (head_dim.div_ceil(LANES) | 1) * LANES;
        SCRATCH.with_borrow_mut(|scratch| {
            let lines = rows * (width + dim + padded) / LANES;
            if scratch.len() < lines {
                scratch.resize(lines, Line::ZERO);
            }
            let (scores, rest) = flat_mut(&mut scratch[..lines]).split_at_mut(rows * width);
            let (copies, means) = rest.split_at_mut(rows * dim);
            for (copy, row) in copies.chunks_exact_mut(dim).zip(0..) {
                let query = queries.row(self.piece.rows.start + self.tokens.start + row / group);
                copy[..head_dim].copy_from_slice(&query[(self.head * group + row % group) * head_dim..][..head_dim]);
            }
            for block in blocks.clone() {
                // SAFETY: the caller's promise: the block holds this head. Scores have room for all blocks.
                unsafe {
                    self.multiply(Strip {
                        out: scores.as_mut_ptr().add((block - blocks.start) * BLOCK_TOKENS),
                        out_stride: width,
                        left: copies.as_ptr(),
                        left_stride: dim,
                        rows,
                        panel: memory.keys(block, self.head, self.layout),
                        inner: head_dim,
                        start: Start::Zero,
                        ahead: None,
                    });
                }
            }
            let scale = 1.0 / (head_dim as f32).sqrt();
            let inverses = copies;
            for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
                let position = first + row / group;
                let seen = self.start(position) - origin..position + 1 - origin;
                inverses[row * dim] = 1.0 / weights(self.workers.instructions(), scores, seen.start, seen.end, scale);
            }
            for panel in 0..padded / PANEL {
                for block in blocks.clone() {
                    // SAFETY: as above; values stand behind the keys, and only tokens up to the last one are read.
                    unsafe {
                        self.multiply(Strip {
                            out: means.as_mut_ptr().add(panel * PANEL),
                            out_stride: padded,
                            left: scores.as_ptr().add((block - blocks.start) * BLOCK_TOKENS),
                            left_stride: width,
                            rows,
                            panel: memory.values(block, self.head, self.layout, panel),
                            inner: BLOCK_TOKENS.min(last + 1 - block * BLOCK_TOKENS),
                            start: if block == blocks.start { Start::Zero } else { Start::Output },
                            ahead: None,
                        });
                    }
                }
            }
            for (row, means) in means.chunks_exact(padded).enumerate() {
                let token = self.piece.rows.start + self.tokens.start + row / group;
                let column = (self.head * group + row % group) * head_dim;
                for (index, mean) in means[..head_dim].iter().enumerate() {
                    // SAFETY: the caller's promise.
                    unsafe { out.add(token * stride + column + index).write(mean * inverses[row * dim]) }
                }
            }
        });
    }

    /// # Safety
    /// Same contract as [`Strip::multiply`]; the panel is one of the cache.
    unsafe fn multiply(&self, strip: Strip) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.piece.memory.form {
                CacheForm::Single => strip.multiply(self.workers.instructions()),
                CacheForm::Half => strip.multiply_bf16(self.workers.instructions()),
            }
        }
    }

    /// First position that the token at `position` attends to.
    fn start(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

kernel! {
    /// Turns the scores of the tokens `start..end` into weights, all others into 0, and returns the sum of the weights. The
    /// first score belongs to a position that is a multiple of the lanes.
    fn weights<'a>(scores: &'a mut [f32], start: usize, end: usize, scale: f32) -> f32 {
        for score in &mut scores[..start] {
            *score = f32::NEG_INFINITY;
        }
        for score in &mut scores[end..] {
            *score = f32::NEG_INFINITY;
        }
        let blocks = scores.as_chunks_mut::<LANES>().0;
        let mut maxima = [f32::NEG_INFINITY; LANES];
        for block in blocks.iter() {
            for lane in 0..LANES {
                maxima[lane] = if block[lane] > maxima[lane] { block[lane] } else { maxima[lane] };
            }
        }
        let maximum = maxima.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        let mut sums = [0.0; LANES];
        for (index, block) in blocks.iter_mut().enumerate() {
            for lane in 0..LANES {
                let token = index * LANES + lane;
                let weight = exp((block[lane] - maximum) * scale);
                // The exponential of minus infinity is small, but not zero.
                block[lane] = if token >= start && token < end { weight } else { 0.0 };
                sums[lane] += block[lane];
            }
        }
        sum_lanes(sums)
    }
}
