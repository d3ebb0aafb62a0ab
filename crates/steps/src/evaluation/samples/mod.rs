//! Texts that a model writes, and measures of them.

mod arguments;
mod measures;
mod novelty;
mod variety;

pub use arguments::SampleArguments;
pub use measures::{SHOWN, generation};
pub use novelty::Novelty;
