//! What the kernels of attention share: their input, the tiles that they read it in, and what a token may look at.
//!
//! A cube has 8 x 8 units. In a tile of scores, unit `(down, across)` has the rows `down + 8 i` and the columns
//! `across + 8 j`; in a tile of outputs, the same rows and the columns `across + 8 j` of the head. No unit writes
//! what another one does, and every sum has one order: no atomics, the same bits every time.

use cubecl::prelude::*;

use super::rope::{rotated, turn};

/// Units of a cube in one direction.
pub const SIDE: usize = 8;

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

/// What every kernel of attention reads.
#[derive(CubeType, CubeLaunch)]
pub struct Sequences<F: Float> {
    /// Queries, keys and values, `[batch * seq, width]`.
    pub qkv: Box<[F]>,
    /// Cosines and sines, `[seq, head_dim / 2]`.
    pub cos: Box<[f32]>,
    pub sin: Box<[f32]>,
    /// Where the document of each token starts, `[batch * seq]`.
    pub starts: Box<[i32]>,
    /// Tokens of a sequence.
    pub seq: usize,
    /// Multiplies scores.
    pub scale: f32,
    #[cube(comptime)]
    pub tiling: Tiling,
}

/// Where a cube works, and which part of its tiles a unit has. Grid: tiles of a sequence, heads, sequences.
#[derive(CubeType)]
pub struct Place {
    /// The first position of the cube's own tile.
    pub first: usize,
    pub head: usize,
    /// Of the sequence's first token.
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
pub fn start_of<F: Float>(sequences: &Sequences<F>, first_row: usize, position: usize) -> i32 {
    let mut start = i32::new(2147483647);
    if position < sequences.seq {
        start = sequences.starts[first_row + position];
    }
    start
}

/// The first tile of keys that a tile of queries looks at.
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

/// Loads a tile of rows from `first` on, columns `columns..columns + head_dim`, turned by their positions and
/// multiplied; stored with a line for each column. Zeros outside the sequence and the head.
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

/// As [`load_rotated`], of other rows of a width and without turning.
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

/// Puts a unit's part of a tile where other units can read it.
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

/// Writes gradients of turned elements as those of what was turned: the transpose of a rotation turns back.
#[cube]
pub fn write_turned_back<F: Float>(
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
            let turn = turn(&sequences.cos, &sequences.sin, column, position, head_dim);
            let turned = tile[column * line + row] * turn.cos - tile[turn.partner * line + row] * turn.sin;
            gradient[(first_row + position) * width + columns + column] = F::cast_from(turned * factor);
        }
        element += SIDE * SIDE;
    }
}
