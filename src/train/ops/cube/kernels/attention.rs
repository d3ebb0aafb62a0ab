//! Causal attention within documents, a tile of queries against one tile of keys after the other (Dao et al. 2022):
//! scores live in registers and shared memory only.
//!
//! A cube has 8 x 8 units. In a tile of scores, unit `(down, across)` has the rows `down + 8 i` and the columns
//! `across + 8 j`; in a tile of outputs, the same rows and the columns `across + 8 j` of the head. No unit writes
//! what another one does, and every sum has one order: no atomics, the same bits every time.

use cubecl::prelude::*;

use super::rope::rotated;

/// Units of a cube in one direction.
pub const SIDE: usize = 8;

/// Stands for minus infinity, which WGSL has no literal for.
pub const HIDDEN: f32 = -1e30;

/// What is known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiling {
    /// Rows and columns of a tile of scores; a multiple of `SIDE`.
    pub tile: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Query heads.
    pub query_heads: usize,
    /// Key heads, and value heads.
    pub key_heads: usize,
}

impl Tiling {
    /// Scores of a unit in one direction.
    pub fn micro(self) -> usize {
        self.tile / SIDE
    }

    /// Output columns of a unit, the last of which may be outside the head.
    pub fn columns(self) -> usize {
        self.head_dim.div_ceil(SIDE)
    }

    /// Columns of all queries.
    pub fn query_width(self) -> usize {
        self.query_heads * self.head_dim
    }

    /// Columns of queries, keys and values.
    pub fn width(self) -> usize {
        (self.query_heads + 2 * self.key_heads) * self.head_dim
    }

    /// Query heads that share a key head.
    pub fn group(self) -> usize {
        self.query_heads / self.key_heads
    }

    /// Elements from one line of a tile to the next: one more than there are, so that neighbours lie in other banks.
    pub fn line(self) -> usize {
        self.tile + 1
    }

    /// Elements of a tile of inputs, which is stored with a line for each column of the head.
    pub fn inputs(self) -> usize {
        self.columns() * SIDE * self.line()
    }

    /// Elements of a tile of scores.
    pub fn scores(self) -> usize {
        self.tile * self.line()
    }
}

/// Output `[batch * seq, queries * head_dim]` and, for the backward pass, the logarithm of each row's sum of
/// exponentials `[batch * seq, queries]`. Grid: tiles of a sequence, query heads, sequences.
#[cube(launch)]
pub fn attention_forward<F: Float>(
    qkv: &Tensor<F>,
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    starts: &Tensor<i32>,
    output: &mut Tensor<F>,
    log_sums: &mut Tensor<f32>,
    seq: usize,
    scale: f32,
    #[comptime] tiling: Tiling,
    #[define(F)] _dtype: ElemType,
) {
    let micro = comptime!(tiling.micro());
    let columns = comptime!(tiling.columns());
    let line = comptime!(tiling.line());
    let (tile, head_dim) = comptime!((tiling.tile, tiling.head_dim));

    let first_query = CUBE_POS_X as usize * tile;
    let head = CUBE_POS_Y as usize;
    let first_row = CUBE_POS_Z as usize * seq;
    let (query_heads, key_heads) = comptime!((tiling.query_heads, tiling.key_heads));
    let key_head = query_heads + head / comptime!(tiling.group());
    let width = comptime!(tiling.width());
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;

    let mut queries = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut inputs = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));
    let mut maxima = Shared::<[f32]>::new_slice(comptime!(tiling.tile * (SIDE + 1)));

    let query_columns = head * head_dim;
    load_rotated::<F>(qkv, cos, sin, &mut queries, first_row, first_query, query_columns, width, seq, scale, tiling);

    let mut start = Array::<i32>::new(micro);
    let mut maximum = Array::<f32>::new(micro);
    let mut sum = Array::<f32>::new(micro);
    let mut scores = Array::<f32>::new(comptime!(micro * micro));
    let mut result = Array::<f32>::new(comptime!(micro * columns));
    #[unroll]
    for i in 0..micro {
        start[i] = start_of(starts, first_row, first_query + down + i * SIDE, seq);
        maximum[i] = f32::new(HIDDEN);
        sum[i] = 0.0;
        #[unroll]
        for j in 0..columns {
            result[i * columns + j] = 0.0;
        }
    }

    let mut first_key = first_tile(starts, first_row, first_query, seq, tile);
    while first_key < seq && first_key <= first_query {
        sync_cube();
        load_rotated::<F>(
            qkv,
            cos,
            sin,
            &mut inputs,
            first_row,
            first_key,
            key_head * head_dim,
            width,
            seq,
            1.0,
            tiling,
        );
        sync_cube();
        products(&queries, &inputs, &mut scores, down, across, tiling);
        #[unroll]
        for i in 0..micro {
            let row = first_query + down + i * SIDE;
            let mut largest = f32::new(HIDDEN);
            #[unroll]
            for j in 0..micro {
                let visible = is_visible(first_key + across + j * SIDE, row, start[i]);
                let score = select(visible, scores[i * micro + j], f32::new(HIDDEN));
                scores[i * micro + j] = score;
                largest = max(largest, score);
            }
            maxima[(down + i * SIDE) * (SIDE + 1) + across] = largest;
        }
        sync_cube();
        let value_columns = (key_head + key_heads) * head_dim;
        load_plain::<F>(qkv, &mut inputs, first_row, first_key, value_columns, width, seq, tiling);
        #[unroll]
        for i in 0..micro {
            let mut largest = maximum[i];
            for unit in 0..SIDE {
                largest = max(largest, maxima[(down + i * SIDE) * (SIDE + 1) + unit]);
            }
            let correction = (maximum[i] - largest).exp();
            maximum[i] = largest;
            sum[i] *= correction;
            #[unroll]
            for j in 0..columns {
                result[i * columns + j] *= correction;
            }
            #[unroll]
            for j in 0..micro {
                let score = scores[i * micro + j];
                // What no token may look at weighs nothing, also where nothing was visible so far.
                let weight = select(score <= f32::new(HIDDEN), 0.0, (score - largest).exp());
                weights[(down + i * SIDE) * line + across + j * SIDE] = weight;
            }
        }
        sync_cube();
        for key in 0..tile {
            #[unroll]
            for i in 0..micro {
                let weight = weights[(down + i * SIDE) * line + key];
                sum[i] += weight;
                #[unroll]
                for j in 0..columns {
                    result[i * columns + j] += weight * inputs[(across + j * SIDE) * line + key];
                }
            }
        }
        first_key += tile;
    }

    #[unroll]
    for i in 0..micro {
        let query = first_query + down + i * SIDE;
        if query < seq {
            let row = first_row + query;
            #[unroll]
            for j in 0..columns {
                let column = across + j * SIDE;
                if column < head_dim {
                    let at = (row * query_heads + head) * head_dim + column;
                    output[at] = F::cast_from(result[i * columns + j] / sum[i]);
                }
            }
            if across == 0 {
                log_sums[row * query_heads + head] = maximum[i] + sum[i].ln();
            }
        }
    }
}

/// `scores[i, j]`: the product of line `down + 8 i` of `left` and line `across + 8 j` of `right`.
#[cube]
pub fn products(
    left: &[f32],
    right: &[f32],
    scores: &mut Array<f32>,
    down: usize,
    across: usize,
    #[comptime] tiling: Tiling,
) {
    let micro = comptime!(tiling.micro());
    let line = comptime!(tiling.line());
    #[unroll]
    for at in 0..comptime!(micro * micro) {
        scores[at] = 0.0;
    }
    let mut of_right = Array::<f32>::new(micro);
    for column in 0..comptime!(tiling.head_dim) {
        #[unroll]
        for j in 0..micro {
            of_right[j] = right[column * line + across + j * SIDE];
        }
        #[unroll]
        for i in 0..micro {
            let of_left = left[column * line + down + i * SIDE];
            #[unroll]
            for j in 0..micro {
                scores[i * micro + j] += of_left * of_right[j];
            }
        }
    }
}

/// Whether a token at `row` may look at `key`, when its document starts at `start`.
#[cube]
pub fn is_visible(key: usize, row: usize, start: i32) -> bool {
    key <= row && key >= start as usize
}

/// The first position that a token may look at. A row outside the sequence sees nothing.
#[cube]
pub fn start_of(starts: &Tensor<i32>, first_row: usize, position: usize, seq: usize) -> i32 {
    let mut start = i32::new(2147483647);
    if position < seq {
        start = starts[first_row + position];
    }
    start
}

/// The first tile of keys that a tile of queries looks at.
#[cube]
pub fn first_tile(
    starts: &Tensor<i32>,
    first_row: usize,
    first_query: usize,
    seq: usize,
    #[comptime] tile: usize,
) -> usize {
    let mut first = first_query;
    for i in 0..tile {
        if first_query + i < seq {
            let start = starts[first_row + first_query + i] as usize;
            first = min(first, start);
        }
    }
    first / tile * tile
}

/// Loads a tile of rows from `first` on, columns `columns..columns + head_dim`, turned by their positions and
/// multiplied; stored with a line for each column. Zeros outside the sequence and the head.
#[cube]
pub fn load_rotated<F: Float>(
    qkv: &Tensor<F>,
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    tile: &mut [f32],
    first_row: usize,
    first: usize,
    columns: usize,
    width: usize,
    seq: usize,
    factor: f32,
    #[comptime] tiling: Tiling,
) {
    let head_dim = comptime!(tiling.head_dim);
    let padded = comptime!(tiling.columns() * SIDE);
    let mut element = UNIT_POS as usize;
    while element < comptime!(tiling.tile * padded) {
        let (row, column) = (element / padded, element % padded);
        let mut value = f32::new(0.0);
        if first + row < seq && column < head_dim {
            let at = (first_row + first + row) * width + columns;
            value = rotated::<F>(qkv, cos, sin, at, column, first + row, head_dim) * factor;
        }
        tile[column * comptime!(tiling.line()) + row] = value;
        element += SIDE * SIDE;
    }
}

/// As [`load_rotated`], without turning.
#[cube]
pub fn load_plain<F: Float>(
    rows: &Tensor<F>,
    tile: &mut [f32],
    first_row: usize,
    first: usize,
    columns: usize,
    width: usize,
    seq: usize,
    #[comptime] tiling: Tiling,
) {
    let padded = comptime!(tiling.columns() * SIDE);
    let mut element = UNIT_POS as usize;
    while element < comptime!(tiling.tile * padded) {
        let (row, column) = (element / padded, element % padded);
        let mut value = f32::new(0.0);
        if first + row < seq && column < comptime!(tiling.head_dim) {
            value = f32::cast_from(rows[(first_row + first + row) * width + columns + column]);
        }
        tile[column * comptime!(tiling.line()) + row] = value;
        element += SIDE * SIDE;
    }
}
