//! Series of millions of rows in blocks: the extremes of 64 neighbouring rows, of 16 such blocks, and so on. Blocks are a pure
//! function of the rows: block N of the lowest level has rows 64 N to 64 N + 63. They may lag behind, never differ.

mod block;
mod build;
mod encode;
mod extremes;
mod walk;

pub(crate) use block::{Block, LEVELS, ROWS, WIDTH};
pub(crate) use build::{Built, LooseRows, Touched, build, forget};
pub(crate) use encode::{COLUMNS, blob, encode, read};
pub use extremes::{Extremes, Point};
pub use walk::SeriesRange;
