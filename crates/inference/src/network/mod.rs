//! The model: its weights, and its forward pass over pieces of sequences.

mod forward;
mod rope;
mod source;
mod weights;

#[cfg(test)]
pub(crate) mod tests;

pub use forward::{Forward, Span, Wanted};
pub use source::Source;
pub use weights::{LoadError, Network, Sizes};
