//! A stored tensor: rows of whole blocks in a mapped file.

use super::stored::Stored;

/// A matrix of a model, borrowed from its file. A vector is one row.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    pub rows: usize,
    pub columns: usize,
    stored: Stored,
    order: RowOrder,
    bytes: &'a [u8],
}

/// Order of the rows in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowOrder {
    AsIs,
    /// llama.cpp rotates neighbours instead of halves, so the rows of each head of `head_dim` rows are interleaved:
    /// stored row `2 i + half` is row `half * head_dim / 2 + i`.
    Interleaved {
        head_dim: usize,
    },
}

impl<'a> Tensor<'a> {
    /// Returns `None` when `bytes` are not the rows.
    pub fn new(rows: usize, columns: usize, stored: Stored, order: RowOrder, bytes: &'a [u8]) -> Option<Self> {
        let size = stored.row_bytes(columns)?.checked_mul(rows)?;
        (bytes.len() == size).then_some(Tensor { rows, columns, stored, order, bytes })
    }

    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The blocks of a row as they are stored, see [`Stored::block`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row_bytes(&self, row: usize) -> &'a [u8] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let row = match self.order {
            RowOrder::AsIs => row,
            RowOrder::Interleaved { head_dim } => {
                let (head, within) = (row / head_dim, row % head_dim);
                head * head_dim + 2 * (within % (head_dim / 2)) + within / (head_dim / 2)
            }
        };
        let size = self.bytes.len() / self.rows;
        &self.bytes[row * size..][..size]
    }

    /// Decodes a row.
    ///
    /// # Panics
    /// When there is no such row, or `to` has not `columns` elements.
    pub fn row_into(&self, row: usize, to: &mut [f32]) {
        assert_eq!(to.len(), self.columns, "columns");
        self.stored.decode(self.row_bytes(row), to);
    }

    /// All elements, row by row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut all = vec![0.0; self.len()];
        for (row, to) in all.chunks_exact_mut(self.columns).enumerate() {
            self.row_into(row, to);
        }
        all
    }
}
