//! Element types of stored tensors.

use super::blocks;

/// How elements are stored. Rows are whole blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q4K,
    Q6K,
}

impl Stored {
    /// List of the types for messages.
    pub const KNOWN: &str = "F32, F16, BF16, and in GGUF files Q8_0, Q4_0, Q4_1, Q4_K, Q6_K";

    /// Elements of a block, and its bytes.
    pub fn block(self) -> (usize, usize) {
        match self {
            Stored::F32 => (1, 4),
            Stored::F16 | Stored::Bf16 => (1, 2),
            Stored::Q8_0 => (32, 34),
            Stored::Q4_0 => (32, 18),
            Stored::Q4_1 => (32, 20),
            Stored::Q4K => (256, 144),
            Stored::Q6K => (256, 210),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Stored::F32 => "F32",
            Stored::F16 => "F16",
            Stored::Bf16 => "BF16",
            Stored::Q8_0 => "Q8_0",
            Stored::Q4_0 => "Q4_0",
            Stored::Q4_1 => "Q4_1",
            Stored::Q4K => "Q4_K",
            Stored::Q6K => "Q6_K",
        }
    }

    /// Bytes of a row, or `None` when the columns are not whole blocks.
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        let (elements, bytes) = self.block();
        columns.is_multiple_of(elements).then(|| (columns / elements).checked_mul(bytes)).flatten()
    }

    /// Decodes the blocks of a row.
    ///
    /// # Panics
    /// When `bytes` are not the blocks of `to`; [`super::Tensor`] has only such rows.
    pub fn decode(self, bytes: &[u8], to: &mut [f32]) {
        let (elements, size) = self.block();
        assert_eq!(bytes.len() / size, to.len() / elements, "blocks of a row");
        let blocks = bytes.chunks_exact(size).zip(to.chunks_exact_mut(elements));
        match self {
            Stored::F32 => {
                blocks.for_each(|(from, to)| to[0] = f32::from_le_bytes([from[0], from[1], from[2], from[3]]))
            }
            Stored::F16 => blocks.for_each(|(from, to)| to[0] = half::f16::from_le_bytes([from[0], from[1]]).to_f32()),
            Stored::Bf16 => {
                blocks.for_each(|(from, to)| {
                    to[0] = f32::from_bits(u32::from(u16::from_le_bytes([from[0], from[1]])) << 16)
                });
            }
            Stored::Q8_0 => blocks.for_each(|(from, to)| blocks::q8_0(from, to)),
            Stored::Q4_0 => blocks.for_each(|(from, to)| blocks::q4_0(from, to)),
            Stored::Q4_1 => blocks.for_each(|(from, to)| blocks::q4_1(from, to)),
            Stored::Q4K => blocks.for_each(|(from, to)| blocks::q4_k(from, to)),
            Stored::Q6K => blocks.for_each(|(from, to)| blocks::q6_k(from, to)),
        }
    }
}
