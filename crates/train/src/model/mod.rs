//! The decoder-only transformer.

mod batch;
mod block;
mod forward;
mod layout;
mod named;
mod transformer;

#[cfg(all(test, feature = "flex"))]
mod golden_tests;
#[cfg(all(test, feature = "flex"))]
mod tests;

pub use batch::Batch;
pub use layout::{InitialValue, WeightSpec, weight_specs};
pub use transformer::Transformer;
