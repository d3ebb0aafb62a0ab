//! Tensors as they lie in a file.

mod blocks;
mod stored;
mod view;
mod weights;

pub use stored::Stored;
pub use view::{RowOrder, Tensor};
pub use weights::{Located, Weights};
