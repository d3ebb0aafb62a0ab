//! Series of millions of rows, answered with as many points as a screen has: the lowest and the highest of every piece stay.

mod block;
mod cache;
mod reduce;
mod rows;
mod summary;

pub use block::{Extremes, Point};
pub use cache::Summaries;
pub use reduce::{Line, reduce};
pub use rows::rows;
#[cfg(test)]
pub use summary::Summary;
pub use summary::{Place, Range};
