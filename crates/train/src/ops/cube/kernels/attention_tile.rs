//! Shared parts of the attention kernels: inputs, tile loads and stores, and visibility.
//!
//! A cube has 8 x 8 units. In a tile of scores, unit `(down, across)` has the rows `down + 8 i` and the columns
//! `across + 8 j`; in a tile of outputs, the same rows and the columns `across + 8 j` of the head. No two units write
//! the same element, and every sum has a fixed order: no atomics, and the same bits every time.

use cubecl::prelude::*;

use super::rope::{rotated, rotation};

/// Units of a cube in one direction.
pub const SIDE: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiling {
    /// Rows and columns of a tile of scores; a multiple of `SIDE`.
    pub tile: usize,
    pub head_dim: usize,
    pub query_heads: usize,
    /// Key heads, equal in number to value heads.
    pub key_heads: usize,
}

impl Tiling {
    /// Scores per unit in one direction.
    pub fn micro(self) -> usize {
        self.tile / SIDE
    }

    /// Output columns per unit; the last may lie outside the head.
    pub fn columns(self) -> usize {
        self.head_dim.div_ceil(SIDE)
    }

    pub fn query_width(self) -> usize {
        self.query_heads * self.head_dim
    }

    /// Columns of queries, keys and values.
    pub fn width(self) -> usize {
        (self.query_heads + 2 * self.key_heads) * self.head_dim
    }

    pub fn group(self) -> usize {
        self.query_heads / self.key_heads
    }

    /// Distance between lines of a tile; one element of padding puts neighbouring lines into different banks.
    pub fn line(self) -> usize {
        self.tile + 1
    }

    /// Elements of a tile of inputs, stored as one line per column of the head.
    pub fn inputs(self) -> usize {
        self.columns() * SIDE * self.line()
    }

    pub fn scores(self) -> usize {
        self.tile * self.line()
    }
}

#[derive(CubeType, CubeLaunch)]
pub struct Sequences<F: Float> {
    /// Queries, keys and values, `[batch * seq, width]`.
    pub qkv: Box<[F]>,
    /// Cosines and sines, `[seq, head_dim / 2]`.
    pub cos: Box<[f32]>,
    pub sin: Box<[f32]>,
    /// Document start of each token, `[batch * seq]`.
    pub starts: Box<[i32]>,
    /// Tokens of a sequence.
    pub seq: usize,
    pub scale: f32,
    #[cube(comptime)]
    pub tiling: Tiling,
}

/// Position of a cube and of a unit in its tiles. Grid: tiles of a sequence, heads, sequences.
#[derive(CubeType)]
pub struct Place {
    /// The first position of the cube's own tile.
    pub first: usize,
    pub head: usize,
    /// Row of the sequence's first token.
    pub first_row: usize,
    pub down: usize,
    pub across: usize,
}

#[cube]
pub fn place<F: Float>(sequences: &Sequences<F>) -> Place {
    Place {
        first: CUBE_POS_X as usize * comptime!(sequences.tiling.tile),
        head: CUBE_POS_Y as usize,
        first_row: CUBE_POS_Z as usize * sequences.seq,
        down: UNIT_POS as usize / SIDE,
        across: UNIT_POS as usize % SIDE,
    }
}

/// `scores[i, j]`: dot product of line `down + 8 i` of `left` and line `across + 8 j` of `right`.
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

/// True if a token at `row`, whose document starts at `start`, may attend to `key`.
#[cube]
pub fn is_visible(key: usize, row: usize, start: i32) -> bool {
    key <= row && key >= start as usize
}

/// First position that a token may attend to. A row outside the sequence attends to nothing.
#[cube]
pub fn start_of<F: Float>(sequences: &Sequences<F>, first_row: usize, position: usize) -> i32 {
    let mut start = i32::new(2147483647);
    if position < sequences.seq {
        start = sequences.starts[first_row + position];
    }
    start
}

/// First tile of keys that a tile of queries attends to.
#[cube]
pub fn first_tile<F: Float>(sequences: &Sequences<F>, first_row: usize, first_query: usize) -> usize {
    let tile = comptime!(sequences.tiling.tile);
    let mut first = first_query;
    for i in 0..tile {
        if first_query + i < sequences.seq {
            let start = sequences.starts[first_row + first_query + i] as usize;
            first = min(first, start);
        }
    }
    first / tile * tile
}

/// Loads a tile of rows from `first` on, columns `columns..columns + head_dim`, rotated by their positions and
/// multiplied by `factor`. The tile has one line per column; elements outside the sequence and the head are 0.
#[cube]
pub fn load_rotated<F: Float>(
    sequences: &Sequences<F>,
    tile: &mut [f32],
    first_row: usize,
    first: usize,
    columns: usize,
    factor: f32,
) {
    let tiling = comptime!(sequences.tiling);
    let padded = comptime!(tiling.columns() * SIDE);
    let (head_dim, width) = comptime!((tiling.head_dim, tiling.width()));
    let mut element = UNIT_POS as usize;
    while element < comptime!(tiling.tile * padded) {
        let (row, column) = (element / padded, element % padded);
        let mut value = f32::new(0.0);
        if first + row < sequences.seq && column < head_dim {
            let at = (first_row + first + row) * width + columns;
            let (cos, sin) = (&sequences.cos, &sequences.sin);
            value = rotated::<F>(&sequences.qkv, cos, sin, at, column, first + row, head_dim) * factor;
        }
        tile[column * comptime!(tiling.line()) + row] = value;
        element += SIDE * SIDE;
    }
}

/// Like [`load_rotated`], for rows of any width and without rotation.
#[cube]
pub fn load_plain<F: Float>(
    rows: &[F],
    tile: &mut [f32],
    first_row: usize,
    first: usize,
    columns: usize,
    seq: usize,
    #[comptime] width: usize,
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

/// Writes a unit's part of a tile to shared memory.
#[cube]
pub fn store_tile(tile: &mut [f32], result: &Array<f32>, down: usize, across: usize, #[comptime] tiling: Tiling) {
    let columns = comptime!(tiling.columns());
    #[unroll]
    for i in 0..comptime!(tiling.micro()) {
        #[unroll]
        for j in 0..columns {
            tile[(across + j * SIDE) * comptime!(tiling.line()) + down + i * SIDE] = result[i * columns + j];
        }
    }
}

/// Writes the gradients of elements before rotation, given those after it: the transpose of a rotation is its inverse.
#[cube]
pub fn write_rotated_back<F: Float>(
    sequences: &Sequences<F>,
    gradient: &mut Tensor<F>,
    tile: &[f32],
    first_row: usize,
    first: usize,
    columns: usize,
    factor: f32,
) {
    let tiling = comptime!(sequences.tiling);
    let (head_dim, line, width) = comptime!((tiling.head_dim, tiling.line(), tiling.width()));
    let mut element = UNIT_POS as usize;
    while element < comptime!(tiling.tile * head_dim) {
        let (row, column) = (element / head_dim, element % head_dim);
        let position = first + row;
        if position < sequences.seq {
            let rotation = rotation(&sequences.cos, &sequences.sin, column, position, head_dim);
            let rotated = tile[column * line + row] * rotation.cos - tile[rotation.partner * line + row] * rotation.sin;
            gradient[(first_row + position) * width + columns + column] = F::cast_from(rotated * factor);
        }
        element += SIDE * SIDE;
    }
}
