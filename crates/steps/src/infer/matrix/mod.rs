//! A matrix of measurements: models, types of weights, sizes of batches, and how many rows are computed at once.
//!
//! `infer.cells` lists the cells, `infer.measure` measures one, `infer.matrix` makes a report of all. A cell that was measured
//! is a step that has succeeded: whatever is killed, only the open cells are measured again.

mod cell;
mod cells;
mod clock;
mod machine;
mod measure;
mod page;
mod report;
mod requests;
#[cfg(test)]
mod tests;

pub use cells::CELLS;
pub use measure::MEASURE;
pub use report::MATRIX;
