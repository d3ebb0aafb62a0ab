//! Series of millions of rows, answered with as many points as a screen has: the lowest and the highest of every piece stay.

mod pieces;
mod reduce;

pub use pieces::{Part, build_blocks, names, pieces};
pub use reduce::{Line, reduce};
