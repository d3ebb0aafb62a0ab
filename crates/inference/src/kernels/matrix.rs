//! Weights, packed once for the tiles that read them.
//!
//! A panel holds 32 outputs. All weights of one input stand side by side (f32, bf16), or four inputs of each output do
//! (q8_0, after the scales of their block). Outputs that pad the last panel are zero.

use std::io;

use super::dtype::{BLOCK, Dtype, Q8Block};
use super::memory::Memory;
use super::workers::Workers;

/// Outputs of a panel: two of the widest vectors.
pub const PANEL: usize = 32;
/// Bytes of the scales of one block of a panel.
pub const SCALES: usize = 2 * PANEL;
/// Bytes of one block of a q8_0 panel.
pub const BLOCK_BYTES: usize = SCALES + BLOCK * PANEL;

/// A source of weights, row by row; a row holds the weights of one output.
pub trait Rows: Sync {
    fn row_into(&self, row: usize, out: &mut [f32]);

    /// Blocks of a row that is stored as q8_0. By default they are made of [`Rows::row_into`].
    fn blocks_into(&self, row: usize, out: &mut [Q8Block], values: &mut [f32]) {
        self.row_into(row, values);
        Q8Block::round(out, values);
    }
}

/// A weight matrix `[outputs, inputs]`.
pub struct Matrix {
    dtype: Dtype,
    outputs: usize,
    inputs: usize,
    /// Lanes of the machine's vectors: bf16 pairs depend on them.
    lanes: usize,
    panel_bytes: usize,
    memory: Memory,
}

impl Matrix {
    /// Packs `outputs` rows of `inputs` weights.
    ///
    /// # Errors
    /// If the system has not enough memory.
    pub fn pack(workers: &Workers, dtype: Dtype, [outputs, inputs]: [usize; 2], rows: &dyn Rows) -> io::Result<Self> {
        let panel_bytes = match dtype {
            Dtype::F32 => inputs * PANEL * 4,
            Dtype::Bf16 => inputs * PANEL * 2,
            Dtype::Q8_0 => inputs.div_ceil(BLOCK) * BLOCK_BYTES,
        };
        let memory = Memory::new(outputs.div_ceil(PANEL) * panel_bytes)?;
        let mut matrix = Matrix { dtype, outputs, inputs, lanes: workers.lanes(), panel_bytes, memory };
        let lanes = matrix.lanes;
        let panels = matrix.memory.bytes_mut()[..outputs.div_ceil(PANEL) * panel_bytes].chunks_exact_mut(panel_bytes);
        workers.team().each(panels.enumerate(), |(index, panel)| {
            let outputs = index * PANEL..outputs.min((index + 1) * PANEL);
            let mut values = vec![0.0; inputs];
            let mut blocks = vec![Q8Block::default(); inputs.div_ceil(BLOCK)];
            for (column, row) in outputs.enumerate() {
                match dtype {
                    Dtype::Q8_0 => {
                        rows.blocks_into(row, &mut blocks, &mut values);
                        put_blocks(panel, column, &blocks);
                    }
                    Dtype::F32 => {
                        rows.row_into(row, &mut values);
                        for (input, value) in values.iter().enumerate() {
                            put(panel, (input * PANEL + column) * 4, value.to_ne_bytes());
                        }
                    }
                    Dtype::Bf16 => {
                        rows.row_into(row, &mut values);
                        let place = bf16_place(column, lanes);
                        for (input, value) in values.iter().enumerate() {
                            let value = half::bf16::from_f32(*value);
                            put(panel, 2 * (input * PANEL + place), value.to_bits().to_ne_bytes());
                        }
                    }
                }
            }
            if dtype == Dtype::Q8_0 {
                // Unsigned bytes: 128 stands for 0.
                for block in panel.chunks_exact_mut(BLOCK_BYTES) {
                    block[SCALES..].iter_mut().for_each(|byte| *byte ^= 0x80);
                }
            }
        });
        Ok(matrix)
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of panels.
    pub fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    pub fn panel_bytes(&self) -> usize {
        self.panel_bytes
    }

    /// First byte of a panel.
    ///
    /// # Panics
    /// If there is no such panel.
    pub fn panel(&self, index: usize) -> *const u8 {
        self.memory.bytes()[index * self.panel_bytes..][..self.panel_bytes].as_ptr()
    }

    /// Weights of a panel of f32.
    ///
    /// # Panics
    /// If there is no such panel, or the weights are not f32.
    #[expect(unsafe_code, reason = "a panel of f32 is an array of f32")]
    pub fn panel_values(&self, index: usize) -> &[f32] {
        assert_eq!(self.dtype, Dtype::F32, "weights of f32");
        // SAFETY: the memory starts at a page and lives as long as `self`; a panel is whole rows of 32 f32.
        unsafe { std::slice::from_raw_parts(self.panel(index).cast(), self.panel_bytes / size_of::<f32>()) }
    }

    /// Bytes of all weights.
    pub fn bytes(&self) -> usize {
        self.panels() * self.panel_bytes
    }

    /// Weights of one output, for embeddings.
    ///
    /// # Panics
    /// If there is no such output, or `out` has another length than the inputs.
    pub fn row_into(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.outputs && out.len() == self.inputs, "a row of the matrix");
        let panel = &self.memory.bytes()[row / PANEL * self.panel_bytes..][..self.panel_bytes];
        let column = row % PANEL;
        match self.dtype {
            Dtype::F32 => {
                for (input, value) in out.iter_mut().enumerate() {
                    *value = f32::from_ne_bytes(get(panel, (input * PANEL + column) * 4));
                }
            }
            Dtype::Bf16 => {
                let place = bf16_place(column, self.lanes);
                for (input, value) in out.iter_mut().enumerate() {
                    let bits = u16::from_ne_bytes(get(panel, 2 * (input * PANEL + place)));
                    *value = half::bf16::from_bits(bits).to_f32();
                }
            }
            Dtype::Q8_0 => {
                for (values, block) in out.chunks_mut(BLOCK).zip(panel.chunks_exact(BLOCK_BYTES)) {
                    let scale = half::f16::from_bits(u16::from_ne_bytes(get(block, 2 * column))).to_f32();
                    for (input, value) in values.iter_mut().enumerate() {
                        let byte = block[SCALES + input / 4 * 4 * PANEL + 4 * column + input % 4] ^ 0x80;
                        *value = scale * f32::from(byte.cast_signed());
                    }
                }
            }
        }
    }
}

/// Position of a column among the bf16 weights of one input: columns `i` and `i + lanes` of a tile of two vectors share
/// a word of 32 bits.
pub(super) fn bf16_place(column: usize, lanes: usize) -> usize {
    let (tile, column) = (column / (2 * lanes), column % (2 * lanes));
    let half = if cfg!(target_endian = "little") { column / lanes } else { 1 - column / lanes };
    2 * (tile * lanes + column % lanes) + half
}

/// Writes signed bytes and scales of one output.
fn put_blocks(panel: &mut [u8], column: usize, blocks: &[Q8Block]) {
    for (place, block) in panel.chunks_exact_mut(BLOCK_BYTES).zip(blocks) {
        put(place, 2 * column, block.scale.to_ne_bytes());
        for (four, bytes) in block.bytes.as_chunks::<4>().0.iter().enumerate() {
            put(place, SCALES + four * 4 * PANEL + 4 * column, bytes.map(i8::cast_unsigned));
        }
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}
