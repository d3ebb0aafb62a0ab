//! Where weights come from: a model, or random numbers in tests.

use stepwell_models::{Model, Place, Shape, Stored};

use crate::kernels::{BLOCK, Q8Block};

/// Tensors of a model. Those that the shape has are there, see [`Shape::size`].
pub trait Source: Sync {
    fn shape(&self) -> &Shape;

    /// Copies a row of a tensor.
    fn row_into(&self, place: Place, row: usize, out: &mut [f32]);

    /// Copies the blocks of a row that is stored as q8_0. False if it is stored in another form.
    fn blocks_into(&self, _place: Place, _row: usize, _out: &mut [Q8Block]) -> bool {
        false
    }

    /// What was read so far is not read again soon.
    fn release(&self) {}
}

impl Source for Model {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn row_into(&self, place: Place, row: usize, out: &mut [f32]) {
        // A model has been checked: every tensor of its shape is there.
        if let Ok(tensor) = self.tensor(place) {
            tensor.row_into(row, out);
        }
    }

    fn blocks_into(&self, place: Place, row: usize, out: &mut [Q8Block]) -> bool {
        let Some(tensor) = self.tensor(place).ok().filter(|tensor| tensor.stored() == Stored::Q8_0) else {
            return false;
        };
        // A scale as f16 and 32 bytes.
        let (blocks, _) = tensor.row_bytes(row).as_chunks::<{ BLOCK + 2 }>();
        for (block, stored) in out.iter_mut().zip(blocks) {
            block.scale = u16::from_le_bytes([stored[0], stored[1]]);
            block.bytes = std::array::from_fn(|index| stored[2 + index].cast_signed());
        }
        true
    }

    fn release(&self) {
        self.release_pages();
    }
}
